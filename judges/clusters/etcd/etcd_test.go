// Package etcd_test runs three members of etcd and their clients, unmodified, over vitro in a
// testing/synctest bubble, for ten minutes that take seconds.
package etcd_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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

const (
	members = 3
	// patience is how long one try of a write waits.
	patience = 5 * time.Second
)

// member is one etcd, on an address of its own: 127.0.0.1 and so on.
type member struct {
	name string
	dir  string
	gone chan struct{} // closed when all of a member that has crashed has gone; nil: none has
	*embed.Etcd
}

func at(i, port int) url.URL {
	return url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.%d:%d", i+1, port)}
}

// begin starts a member, or starts it again with what its directory has. It does not wait for the
// others.
func (m *member) begin(t *testing.T, i int) {
	t.Helper()
	if m.gone != nil {
		<-m.gone
	}
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
	c.UnsafeNoFsync = true // no machine fails here, only processes, and the disk is slow in real time
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatalf("%s does not start: %v", m.name, err)
	}
	m.Etcd, m.gone = e, nil
	t.Cleanup(m.end)
}

// end stops a member in order: a leader hands its office over. It waits until all of the member has gone:
// a bubble ends with the last of its goroutines.
func (m *member) end() {
	if m.gone != nil {
		<-m.gone
	}
	if m.Etcd != nil {
		m.Close() // a second one would panic
		m.Etcd = nil
	}
}

// crash ends a member as the end of its process does. Nothing is handed over, its connections are closed by
// the system, and what it finds when it begins again is what its files had in this instant: all others
// wait by then, so that none of them is half written.
func (m *member) crash(t *testing.T) {
	t.Helper()
	synctest.Wait()
	left := m.dir + "-left"
	if err := os.CopyFS(left, os.DirFS(m.dir)); err != nil {
		t.Fatal(err)
	}
	e, gone := m.Etcd, make(chan struct{})
	m.Etcd, m.dir, m.gone = nil, left, gone
	e.Server.HardStop()
	go func() { // listeners, and clients that do not see that it has gone: it waits for those some seconds
		e.Close()
		close(gone)
	}()
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

// TestTenMinutes writes ten times a second. After two minutes the leader stops in order, and comes back after
// four. After five the leader crashes, and comes back after seven. Both times another leads soon and
// writes go on, and who comes back gets what was written meanwhile. At the end every member has every
// write.
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
	w := writer{t: t, cl: connect(t, ends...)}
	back := func(i int) {
		list[i].begin(t, i)
		list[i].ready(t)
		time.Sleep(5 * time.Second)
		w.has(list[i].name, ends[i])
	}
	w.until(began.Add(2 * time.Minute))
	stopped := stopLeader(t, list, &w)
	w.until(began.Add(4 * time.Minute))
	back(stopped)

	w.until(began.Add(5 * time.Minute))
	crashed := crashLeader(t, list, &w)
	w.until(began.Add(7 * time.Minute))
	back(crashed)

	w.until(began.Add(10 * time.Minute))
	time.Sleep(5 * time.Second)
	for i, m := range list {
		w.has(m.name, ends[i])
	}
	t.Logf("%d writes, the slowest took %v; %v of virtual time", w.number, w.slowest, time.Since(began))
}

// stopLeader stops the leader in order, and writes. The leader hands its office over, so that nothing has to
// wait for an election timeout.
func stopLeader(t *testing.T, list []*member, w *writer) (stopped int) {
	t.Helper()
	stopped = leader(t, list)
	timeout := electionTimeout(list[stopped])
	list[stopped].end()
	cut := time.Now()
	w.write()
	d := time.Since(cut)
	left := others(list, stopped)
	t.Logf("%s led and was stopped; the next write took %v, and %s leads", list[stopped].name, d, left[leader(t, left)].name)
	most := timeout
	if impaired() { // a follower that has not heard of it yet may send a try after the one that has gone
		most += patience
	}
	if d > most {
		t.Errorf("the leader has handed its office over, and a write takes %v all the same, more than %v", d, most)
	}
	return stopped
}

// crashLeader has the leader crash, and writes. When the followers elect another is said by etcd's
// configuration alone. An election timeout is ElectionTicks of TickMs each; a follower asks for votes when it
// has heard nothing of the leader for a time that it draws from one such timeout to two of them (go.etcd.io/raft,
// randomizedElectionTimeout). So the first asks no earlier than a timeout after the last heartbeat, which was
// sent no more than a tick before the crash; its own ticks may begin a tick early. It may be refused, by
// one that has heard of the leader a tick later. The last asks after two timeouts at most, and is not
// refused: the first has no leader any more, and as nothing was written for a second both have the same log.
// When both ask in one tick, each votes for itself: that ends a term, and they draw again.
func crashLeader(t *testing.T, list []*member, w *writer) (crashed int) {
	t.Helper()
	crashed = leader(t, list)
	survivors := others(list, crashed)
	timeout, tick, term := electionTimeout(list[crashed]), tick(list[crashed]), list[crashed].Server.Term()
	time.Sleep(time.Second)
	cut := time.Now()
	list[crashed].crash(t)
	gone := time.Now()
	elected := make(chan time.Time, 1)
	go func() {
		for !slices.ContainsFunc(survivors, (*member).leads) && time.Since(gone) < time.Minute {
			time.Sleep(time.Millisecond)
		}
		elected <- time.Now()
	}()
	w.write()
	wrote := time.Since(cut)
	at := <-elected
	next := survivors[leader(t, survivors)]
	terms := next.Server.Term() - term
	t.Logf("%s led and has crashed; %s leads after %v, in term %d after %d, and a write took %v",
		list[crashed].name, next.name, at.Sub(cut), term+terms, term, wrote)
	if least := timeout - 2*tick; at.Sub(cut) < least {
		t.Errorf("%s leads %v after the crash, less than %v: that is no election timeout", next.name, at.Sub(cut), least)
	}
	if most := time.Duration(terms)*2*timeout + ballots(); at.Sub(gone) > most {
		t.Errorf("%s leads %v after the crash, in term %d after %d: more than %v", next.name, at.Sub(gone), term+terms, term, most)
	}
	if most := at.Sub(cut) + patience + timeout; wrote > most {
		t.Errorf("a write takes %v when a leader was elected after %v", wrote, at.Sub(cut))
	}
	return crashed
}

// ballots is how long the two ballots take, the one that asks whether there would be votes and the one that
// takes them: nothing but the grain with which it is measured, unless VITRO_LINK has a delay, which it
// takes twice to and fro, and losses, of which each costs some tenths of a second.
func ballots() time.Duration {
	if impaired() {
		return time.Second
	}
	return 2 * time.Millisecond
}

// impaired reports whether the network is not one that takes no time and loses nothing.
func impaired() bool { return os.Getenv("VITRO_LINK") != "" }

func tick(m *member) time.Duration {
	return time.Duration(m.Config().TickMs) * time.Millisecond
}

func electionTimeout(m *member) time.Duration {
	c := m.Config()
	return time.Duration(c.ElectionTicks()) * tick(m)
}

// others are all members but one.
func others(list []*member, but int) []*member { return slices.Delete(slices.Clone(list), but, but+1) }

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
		ctx, cancel := context.WithTimeout(context.Background(), patience)
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
