package breaks

import (
	"bufio"
	"fmt"
	"net"
	"testing"
)

// session is a connection to a server that answers questions, in a pool.
type session struct {
	net.Conn
	answers *bufio.Reader
	used    bool
}

func (p *pool) askBefore(question string) (string, error) {
	for {
		s, err := p.get() // the one that is idle, or a new one
		if err != nil {
			return "", err
		}
		if _, err := fmt.Fprintln(s, question); err != nil {
			s.Close()
			continue // it has died in the meantime: try another
		}
		answer, err := s.answers.ReadString('\n')
		if err != nil {
			s.Close()
			return "", err
		}
		p.put(s)
		return answer, nil
	}
}

// To ask twice must do no harm: see the next section.
func (p *pool) askAfter(question string) (string, error) {
	for {
		s, err := p.get()
		if err != nil {
			return "", err
		}
		var answer string
		if _, err = fmt.Fprintln(s, question); err == nil {
			answer, err = s.answers.ReadString('\n')
		}
		if err == nil {
			p.put(s)
			return answer, nil
		}
		s.Close()
		if !s.used {
			return "", err
		}
	}
}

// pool keeps one session for the next question.
type pool struct {
	dial func() (net.Conn, error)
	idle *session
}

func (p *pool) get() (*session, error) {
	if s := p.idle; s != nil {
		p.idle = nil
		return s, nil
	}
	c, err := p.dial()
	if err != nil {
		return nil, err
	}
	return &session{Conn: c, answers: bufio.NewReader(c)}, nil
}

func (p *pool) put(s *session) { s.used, p.idle = true, s }

// answer42 answers all questions.
func answer42(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			for questions := bufio.NewScanner(c); questions.Scan(); {
				fmt.Fprintln(c, "42")
			}
			c.Close()
		}()
	}
}

func TestPeerHasRestarted(t *testing.T) {
	twice := func(ask func(*pool, string) (string, error)) func(*world) string {
		return func(w *world) string {
			go answer42(w.listen("server"))
			p := &pool{dial: func() (net.Conn, error) { return w.dial(w.Context(), "server") }}
			if _, err := ask(p, "how much?"); err != nil {
				return "at first: " + plain(err)
			}
			if w.lab != nil {
				w.hosts["server"].Restart()
			} else {
				w.hangUp()
			}
			go answer42(w.listen("server"))
			answer, err := ask(p, "how much?")
			if err != nil {
				return plain(err)
			}
			return "after the restart: " + answer[:len(answer)-1]
		}
	}
	example{
		title:  "Nobody tells you that the peer has restarted",
		before: twice((*pool).askBefore), after: twice((*pool).askAfter),
		wants: "after the restart: 42",
	}.show(t)
}
