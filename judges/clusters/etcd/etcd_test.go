// Package etcd_test runs three members of etcd and their clients, unmodified, over vitro in a
// testing/synctest bubble, for ten minutes that take seconds.
package etcd_test

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/vitro-net/vitro/judges/clusters/within"
)

const members = 3

// member is one etcd, on an address of its own: 127.0.0.1 and so on.
type member struct {
	name string
	dir  string
	*embed.Etcd
}

func at(i, port int) url.URL {
	return url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.%d:%d", i+1, port)}
}

// begin starts a member, or starts it again with what its directory has. It does not wait for the
// others.
func (m *member) begin(t *testing.T, i int) {
	t.Helper()
	c := embed.NewConfig()
	c.Name, c.Dir = m.name, m.dir
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{at(i, 2380)}, []url.URL{at(i, 2380)}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{at(i, 2379)}, []url.URL{at(i, 2379)}
	var all []string
	for j := range members {
		peer := at(j, 2380)
		all = append(all, "member"+strconv.Itoa(j)+"="+peer.String())
	}
	c.InitialCluster = strings.Join(all, ",")
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatalf("%s does not start: %v", m.name, err)
	}
	m.Etcd = e
	t.Cleanup(m.end)
}

// end stops a member, and waits until all of it has gone: a bubble ends with the last of its
// goroutines.
func (m *member) end() {
	if m.Etcd != nil {
		m.Close() // a second one would panic
		m.Etcd = nil
	}
}

// ready waits until a member serves.
func (m *member) ready(t *testing.T) {
	t.Helper()
	select {
	case <-m.Server.ReadyNotify():
	case err := <-m.Err():
		t.Fatalf("%s ends: %v", m.name, err)
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not serve after 30 s", m.name)
	}
}

// leads reports whether a member is its own leader.
func (m *member) leads() bool { return m.Server.Leader() == m.Server.MemberID() }

// TestTenMinutes writes ten times a second. In the third minute the leader stops: within some
// election timeouts, of a second each, there is another, and writes go on. In the sixth it comes
// back and has what was written meanwhile. At the end every member has every write.
func TestTenMinutes(t *testing.T) {
	within.Bubble(t)
	real := time.Now()
	synctest.Test(t, tenMinutes)
	t.Logf("ten minutes took %v", time.Since(real).Round(time.Millisecond))
}

func tenMinutes(t *testing.T) {
	began := time.Now()
	dir := t.TempDir()
	// Runs last. What members leave to a timeout, as the other end of a connection whose member has
	// gone (rafthttp reads for 5 s at a time), ends by the clock, and the clock of a bubble stands
	// still when its test has returned.
	t.Cleanup(func() { time.Sleep(time.Minute) })
	var list []*member
	for i := range members {
		name := "member" + strconv.Itoa(i)
		m := &member{name: name, dir: filepath.Join(dir, name)}
		m.begin(t, i)
		list = append(list, m)
	}
	for _, m := range list {
		m.ready(t)
	}
	var ends []string
	for i := range members {
		ends = append(ends, at(i, 2379).Host)
	}
	cl := connect(t, ends...)
	w := writer{t: t, cl: cl}
	w.until(began.Add(3 * time.Minute))

	stopped := leader(t, list)
	list[stopped].end()
	cut := time.Now()
	w.write()
	t.Logf("%s led and was stopped; the next write took %v", list[stopped].name, time.Since(cut))
	// It is stopped in order, and hands its office over: no election has to time out.
	if d := time.Since(cut); d > 10*time.Second {
		t.Errorf("after the leader has stopped a write takes %v, more than ten election timeouts", d)
	}
	others := append(append([]*member{}, list[:stopped]...), list[stopped+1:]...)
	t.Logf("%s leads now", others[leader(t, others)].name)

	w.until(began.Add(6 * time.Minute))
	list[stopped].begin(t, stopped)
	list[stopped].ready(t)
	time.Sleep(5 * time.Second)
	w.has(list[stopped].name, ends[stopped])

	w.until(began.Add(10 * time.Minute))
	time.Sleep(5 * time.Second)
	for i, m := range list {
		w.has(m.name, ends[i])
	}
	t.Logf("%d writes, the slowest took %v; %v of virtual time", w.number, w.slowest, time.Since(began))
}

// leader returns which of some members leads. There is one by the time they have answered a write.
func leader(t *testing.T, list []*member) int {
	t.Helper()
	for i, m := range list {
		if m.leads() {
			return i
		}
	}
	t.Fatal("no member leads")
	return 0
}

// connect makes a client. It has no DialKeepAliveTime: with that grpc-go sets TCP_USER_TIMEOUT by
// SyscallConn, which a connection of the overlay refuses, and takes the error for one of the
// connection. (The members do not: who is behind a listener of etcd's sees no *net.TCPConn.)
func connect(t *testing.T, ends ...string) *clientv3.Client {
	t.Helper()
	cl, err := clientv3.New(clientv3.Config{
		Endpoints:   ends,
		DialTimeout: 5 * time.Second,
		Logger:      zap.NewNop(),
	})
	if err != nil {
		t.Fatalf("a client of %v: %v", ends, err)
	}
	t.Cleanup(func() { cl.Close() }) //nolint:errcheck // it has done its work
	return cl
}

// writer writes numbers under keys of their own, and reads what it has written.
type writer struct {
	t       *testing.T
	cl      *clientv3.Client
	number  int
	slowest time.Duration
}

func key(n int) string { return fmt.Sprintf("key%06d", n) }

// write does it once, and again after an error that says that there is no leader at the moment.
func (w *writer) write() {
	w.t.Helper()
	from := time.Now()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, err := w.cl.Put(ctx, key(w.number), strconv.Itoa(w.number))
		cancel()
		if err == nil {
			break
		}
		if time.Since(from) > time.Minute {
			w.t.Fatalf("write %d fails for a minute: %v", w.number, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.slowest = max(w.slowest, time.Since(from))
	w.number++
}

// until writes, and reads now and then, till a time.
func (w *writer) until(end time.Time) {
	for time.Now().Before(end) {
		w.write()
		if n := w.number - 1; n%10 == 0 {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			r, err := w.cl.Get(ctx, key(n))
			cancel()
			if err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Value) != strconv.Itoa(n) {
				w.t.Fatalf("what was written as %s is read as %v, %v", key(n), r, err)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// has checks that a member has all that was written, by itself: it asks no other.
func (w *writer) has(name, end string) {
	w.t.Helper()
	cl := connect(w.t, end)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := cl.Get(ctx, "key", clientv3.WithPrefix(), clientv3.WithSerializable())
	if err != nil {
		w.t.Fatalf("%s cannot be read: %v", name, err)
	}
	if len(r.Kvs) != w.number {
		w.t.Errorf("%s has %d of %d writes", name, len(r.Kvs), w.number)
	}
	for n, kv := range r.Kvs {
		if string(kv.Key) != key(n) || string(kv.Value) != strconv.Itoa(n) {
			w.t.Fatalf("%s has %s = %s where %s = %d was written", name, kv.Key, kv.Value, key(n), n)
		}
	}
}
