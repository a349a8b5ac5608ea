package programs_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/vitro-net/vitro/lab"
)

// postgres speaks as much of the wire protocol as pgx needs for three statements: it keeps values by
// their keys, and sleeps when it is told to.
type postgres struct {
	mu   sync.Mutex
	rows map[int32]string
}

const (
	putSQL   = "insert into rows values ($1, $2)"
	getSQL   = "select value from rows where key = $1"
	sleepSQL = "select pg_sleep($1)"
)

// prepared is a statement of a connection.
type prepared struct {
	sql    string
	params []uint32
	column uint32 // 0: no rows
}

func prepare(sql string) (prepared, bool) {
	switch sql {
	case putSQL:
		return prepared{sql, []uint32{pgtype.Int4OID, pgtype.TextOID}, 0}, true
	case getSQL:
		return prepared{sql, []uint32{pgtype.Int4OID}, pgtype.TextOID}, true
	case sleepSQL:
		return prepared{sql, []uint32{pgtype.Int4OID}, pgtype.TextOID}, true
	}
	return prepared{}, false
}

// session is one connection.
type session struct {
	db         *postgres
	backend    *pgproto3.Backend
	statements map[string]prepared
	bound      prepared
	values     [][]byte
	failed     bool // until the next Sync
}

func (db *postgres) serve(c net.Conn) {
	defer c.Close()
	s := &session{db: db, backend: pgproto3.NewBackend(c, c), statements: map[string]prepared{}}
	if _, err := s.backend.ReceiveStartupMessage(); err != nil {
		return
	}
	s.backend.Send(&pgproto3.AuthenticationOk{})
	s.backend.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	s.backend.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 1}})
	s.backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for s.backend.Flush() == nil {
		m, err := s.backend.Receive()
		if err != nil {
			return
		}
		if _, ok := m.(*pgproto3.Terminate); ok {
			return
		}
		s.take(m)
	}
}

// take answers one message.
func (s *session) take(m pgproto3.FrontendMessage) {
	if _, ok := m.(*pgproto3.Sync); ok {
		s.failed = false
		s.backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		return
	}
	if s.failed {
		return
	}
	switch m := m.(type) {
	case *pgproto3.Query: // pgx asks so what has no parameters; nothing here has none
		s.misunderstood(m.String)
		s.backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	case *pgproto3.Parse:
		p, ok := prepare(m.Query)
		if !ok {
			s.failed = true
			s.misunderstood(m.Query)
			return
		}
		s.statements[m.Name] = p
		s.backend.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Describe:
		p := s.bound
		if m.ObjectType == 'S' {
			p = s.statements[m.Name]
			s.backend.Send(&pgproto3.ParameterDescription{ParameterOIDs: p.params})
		}
		if p.column == 0 {
			s.backend.Send(&pgproto3.NoData{})
			return
		}
		s.backend.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("value"), DataTypeOID: p.column, DataTypeSize: -1, TypeModifier: -1}}})
	case *pgproto3.Bind:
		s.bound, s.values = s.statements[m.PreparedStatement], nil
		for _, v := range m.Parameters {
			s.values = append(s.values, append([]byte(nil), v...))
		}
		s.backend.Send(&pgproto3.BindComplete{})
	case *pgproto3.Execute:
		s.execute()
	}
}

func (s *session) misunderstood(sql string) {
	s.backend.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "42601", Message: "syntax error at " + sql})
}

// execute runs what is bound. An int4 comes in the binary format.
func (s *session) execute() {
	n := int32(binary.BigEndian.Uint32(s.values[0]))
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	switch s.bound.sql {
	case putSQL:
		s.db.rows[n] = string(s.values[1])
		s.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("INSERT 0 1")})
	case getSQL:
		v, ok := s.db.rows[n]
		if ok {
			s.backend.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(v)}})
		}
		s.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT")})
	case sleepSQL:
		s.db.mu.Unlock()
		time.Sleep(time.Duration(n) * time.Second)
		s.db.mu.Lock()
		s.backend.Send(&pgproto3.DataRow{Values: [][]byte{nil}})
		s.backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
	}
}

// newPostgres begins a server on "server" and returns how a client on "client" connects.
func newPostgres(t *testing.T, n *lab.Net) *pgx.ConnConfig {
	server, client := n.Host("server"), n.Host("client")
	db := &postgres{rows: map[int32]string{}}
	accept(listen(t, server, ":5432"), db.serve)
	c, err := pgx.ParseConfig("postgres://user@server/db?sslmode=disable")
	must(t, err)
	c.DialFunc = client.DialContext
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // the Dial knows the names
	return c
}

// Statements one by one, and a hundred in one batch.
func TestPgx(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		ctx := t.Context()
		c, err := pgx.ConnectConfig(ctx, newPostgres(t, n))
		must(t, err)
		defer c.Close(ctx)
		for i := range int32(20) {
			_, err := c.Exec(ctx, putSQL, i, fmt.Sprint("value ", i))
			must(t, err)
			var got string
			must(t, c.QueryRow(ctx, getSQL, i).Scan(&got))
			if want := fmt.Sprint("value ", i); got != want {
				t.Errorf("key %d is %q; want %q", i, got, want)
			}
		}
		if err := c.QueryRow(ctx, getSQL, int32(99)).Scan(new(string)); !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("a key that is not there: %v; want ErrNoRows", err)
		}
		var b pgx.Batch
		long := strings.Repeat("x", 10_000)
		for i := range int32(100) {
			b.Queue(putSQL, i, long)
		}
		must(t, c.SendBatch(ctx, &b).Close())
		var got string
		must(t, c.QueryRow(ctx, getSQL, int32(99)).Scan(&got))
		if got != long {
			t.Errorf("the last of the batch has %d octets; want %d", len(got), len(long))
		}
		var wrong *pgconn.PgError
		if _, err := c.Exec(ctx, "drop"); !errors.As(err, &wrong) || wrong.Code != "42601" {
			t.Errorf("a statement that is not understood: %v; want code 42601", err)
		}
	})
}

// A partition in the middle: one statement waits for its end, another gives up at its deadline, and
// then the connection is closed, as pgx does with one that it has not read to the end.
func TestPgxPartition(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		ctx := t.Context()
		config := newPostgres(t, n)
		c, err := pgx.ConnectConfig(ctx, config)
		must(t, err)
		defer c.Close(ctx)
		_, err = c.Exec(ctx, putSQL, int32(1), "before")
		must(t, err)

		cutFor(n, "client", "server", 30*time.Second)
		start := time.Now()
		var got string
		must(t, c.QueryRow(ctx, sleepSQL, int32(1)).Scan(new(*string)))
		must(t, c.QueryRow(ctx, getSQL, int32(1)).Scan(&got))
		if d := time.Since(start); got != "before" || d < 30*time.Second || d > soon {
			t.Errorf("after %v the value is %q; want it after the partition", d, got)
		}

		cutFor(n, "client", "server", 30*time.Second)
		short, cancel := context.WithTimeout(ctx, 4*time.Second)
		defer cancel()
		start = time.Now()
		_, err = c.Exec(short, putSQL, int32(1), "during")
		if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d != 4*time.Second {
			t.Errorf("a statement with a deadline: %v after %v; want DeadlineExceeded after 4 s", err, d)
		}
		if !c.IsClosed() {
			t.Error("the connection is still open")
		}
		time.Sleep(30 * time.Second)
		again, err := pgx.ConnectConfig(ctx, config)
		must(t, err)
		defer again.Close(ctx)
		must(t, again.QueryRow(ctx, getSQL, int32(1)).Scan(&got))
		if got != "before" && got != "during" {
			t.Errorf("the value is %q; want one of the two", got)
		}
	})
}
