package programs_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/vitro-net/vitro/lab"
)

// diary is a raft.FSM that writes down what it is told, in order. Snapshots are of the whole.
type diary struct {
	mu    sync.Mutex
	lines []string
}

// Apply writes a line, unless it is there, and answers how many there are.
func (d *diary) Apply(l *raft.Log) any {
	d.mu.Lock()
	defer d.mu.Unlock()
	if line := string(l.Data); !slices.Contains(d.lines, line) {
		d.lines = append(d.lines, line)
	}
	return len(d.lines)
}

// Snapshot is not asked for: the logs are short.
func (d *diary) Snapshot() (raft.FSMSnapshot, error) { return nil, raft.ErrNothingNewToSnapshot }

// Restore is not asked for either.
func (d *diary) Restore(r io.ReadCloser) error { return r.Close() }

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// streams is what raft's own transport runs over: a host of the lab.
type streams struct {
	net.Listener
	host *lab.Host
}

// Dial connects to another node, by its host's name.
func (s streams) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	d := s.host.Dialer()
	d.Timeout = timeout
	return d.Dial("tcp", string(to))
}

// member is one node.
type member struct {
	name  string
	raft  *raft.Raft
	diary *diary
}

// newRaft begins five nodes that know each other.
func newRaft(t *testing.T, n *lab.Net) []*member {
	var list []*member
	var known raft.Configuration
	for i := range 5 {
		name := fmt.Sprintf("node%d", i+1)
		h := n.Host(name)
		c := raft.DefaultConfig()
		c.LocalID = raft.ServerID(name)
		c.Logger = hclog.NewNullLogger()
		store := raft.NewInmemStore()
		m := &member{name: name, diary: new(diary)}
		at := raft.ServerAddress(name + ":8300")
		known.Servers = append(known.Servers, raft.Server{ID: c.LocalID, Address: at})
		transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: streams{listen(t, h, ":8300"), h}, MaxPool: 3, Timeout: 10 * time.Second, Logger: c.Logger,
		})
		r, err := raft.NewRaft(c, m.diary, store, store, raft.NewDiscardSnapshotStore(), named{transport, at})
		must(t, err)
		m.raft = r
		list = append(list, m)
		t.Cleanup(func() {
			must(t, r.Shutdown().Error())
			transport.Close()
		})
	}
	must(t, list[0].raft.BootstrapCluster(known).Error())
	return list
}

// named is a transport that calls itself by the host's name, where it would take the listener's
// address, [::]:8300.
type named struct {
	*raft.NetworkTransport
	at raft.ServerAddress
}

// LocalAddr returns it.
func (n named) LocalAddr() raft.ServerAddress { return n.at }

// leader waits until all of some nodes agree who of them leads.
func leader(t *testing.T, of []*member) *member {
	t.Helper()
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(100 * time.Millisecond) {
		_, id := of[0].raft.LeaderWithID()
		agreed := !slices.ContainsFunc(of, func(m *member) bool {
			_, other := m.raft.LeaderWithID()
			return other != id
		})
		i := slices.IndexFunc(of, func(m *member) bool { return m.name == string(id) && m.raft.State() == raft.Leader })
		if agreed && i >= 0 {
			return of[i]
		}
	}
	t.Fatal("in a minute nobody has become the leader")
	return nil
}

// apply writes lines by whoever leads of some nodes, and returns them. With its luck a path with loss may
// cost a leader its office, as raft says then; the line may have been written or not, and is told to the
// next one.
func apply(t *testing.T, of []*member, what string, count int) (lines []string) {
	t.Helper()
	for i := range count {
		line := fmt.Sprintf("%s %d", what, i)
		err := raft.ErrNotLeader
		for range 10 {
			err = leader(t, of).raft.Apply([]byte(line), 10*time.Second).Error()
			if !errors.Is(err, raft.ErrLeadershipLost) && !errors.Is(err, raft.ErrNotLeader) {
				break
			}
		}
		if err != nil {
			t.Fatalf("%s, line %d: %v", what, i, err)
		}
		lines = append(lines, line)
	}
	return lines
}

// agree waits until all diaries have the same lines, and no others.
func agree(t *testing.T, all []*member, want []string) {
	t.Helper()
	for _, m := range all {
		for start := time.Now(); !slices.Equal(m.diary.all(), want); time.Sleep(100 * time.Millisecond) {
			if time.Since(start) > time.Minute {
				t.Errorf("%s has %q after a minute; want %q", m.name, m.diary.all(), want)
				break
			}
		}
	}
}

// Five nodes elect one, and what it is told all of them write down.
func TestRaft(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		all := newRaft(t, n)
		want := apply(t, all, "line", 50)
		agree(t, all, want)
	})
}

// The leader and one other are parted from the three for a minute. What it is told then does not come to
// pass; the three elect another and go on; when the partition has healed, all five have what that one
// was told.
func TestRaftPartition(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		all := newRaft(t, n)
		want := apply(t, all, "before", 10)
		agree(t, all, want)
		old := leader(t, all)

		few := []*member{old}
		var many []*member
		for _, m := range all {
			switch {
			case m == old:
			case len(few) < 2:
				few = append(few, m)
			default:
				many = append(many, m)
			}
		}
		time.AfterFunc(time.Minute, n.Isolate(few[0].name, few[1].name).Heal)
		healed := time.Now().Add(time.Minute)
		lost := old.raft.Apply([]byte("never"), 0)
		want = append(want, apply(t, many, "meanwhile", 10)...)
		if err := lost.Error(); !errors.Is(err, raft.ErrLeadershipLost) && !errors.Is(err, raft.ErrNotLeader) {
			t.Errorf("what the old leader was told: %v; want ErrLeadershipLost", err)
		}
		time.Sleep(time.Until(healed))
		want = append(want, apply(t, all, "after", 10)...)
		agree(t, all, want)
	})
}
