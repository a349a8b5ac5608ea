package stack_test

import (
	"testing"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

func TestLifeOfAConnection(t *testing.T) {
	p := newPair(t, config(), config())
	l := p.listen(p.b, ap(addrB, 80), stack.ListenOptions{})
	client, server := p.connect(l, ap(addrB, 80))
	p.transfer(client, server, 1<<20)
	p.transfer(server, client, 1<<20)
	client.Close(p.now)
	p.run(10 * delay)
	p.want(client, tcp.FinWait2)
	p.want(server, tcp.CloseWait)
	server.Close(p.now)
	p.run(10 * delay)
	p.want(client, tcp.TimeWait)
	p.want(server, tcp.Closed)
}

func TestConnectionToOneself(t *testing.T) {
	p := newPair(t, config(), config())
	for _, at := range []string{"127.0.0.1:80", "[::1]:80", "10.0.0.1:81", "[2001:db8::1]:81"} {
		l := p.listen(p.a, mustAP(at), stack.ListenOptions{})
		c := p.dial(p.a, mustAP(at))
		p.flush()
		s := l.Accept(p.now)
		if s == nil {
			t.Fatalf("%s: nothing to accept, the client is %v", at, c.State())
		}
		p.transfer(c, s, 1<<20)
	}
	if len(p.seen) > 0 {
		t.Errorf("%d packets to oneself left by an interface", len(p.seen))
	}
}
