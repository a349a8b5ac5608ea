package vitro_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitro-net/vitro"
	"github.com/vitro-net/vitro/host"
	"github.com/vitro-net/vitro/link"
)

// own is an error of the user's, that wraps what package vitro translates when it is its own.
type own struct{ cause error }

func (o *own) Error() string { return "upstream: " + o.cause.Error() }
func (o *own) Unwrap() error { return o.cause }

// fails is a reader, a writer, a Resolver and a link whose errors are err.
type fails struct {
	link.Link
	err error
}

func (f fails) Read([]byte) (int, error)   { return 0, f.err }
func (f fails) Write([]byte) (int, error)  { return 0, f.err }
func (f fails) Attach(link.Receiver) error { return f.err }
func (f fails) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, f.err
}

// What the user's own readers, writers, Resolvers and links return comes back as it is.
func TestErrorsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, vitro.Config{})
		c, s := connect(t, a, b)
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		for _, cause := range []error{context.Canceled, context.DeadlineExceeded, net.ErrClosed, host.ErrClosed, syscall.ENOSPC, io.ErrUnexpectedEOF} {
			err := error(&own{cause})
			all := []error{err}
			if !errors.Is(cause, host.ErrClosed) { // as it is, it is the host's
				all = append(all, cause)
			}
			for _, err := range all {
				f := fails{nil, err}
				r, err1 := vitro.New(vitro.Config{Resolver: f})
				if err1 != nil {
					t.Fatal(err1)
				}
				_, byDial := r.Dial("tcp", "example.com:80")
				f.Link, _ = link.Pair(0)
				byAttach := r.Attach(f, vitro.LinkConfig{})
				r.Close()
				_, byReader := c.ReadFrom(f)
				for what, got := range map[string]error{"ReadFrom": byReader, "Dial": byDial, "Attach": byAttach} {
					var op *net.OpError
					if !errors.As(got, &op) || !errors.Is(got, cause) {
						t.Errorf("%s with %v: %v", what, err, got)
					}
					var o *own
					if errors.As(err, &o) && !errors.As(got, &o) {
						t.Errorf("%s with %v: %v has lost it", what, err, got)
					}
				}
			}
			var o *own
			if _, got := c.WriteTo(fails{nil, err}); !errors.As(got, &o) {
				t.Errorf("WriteTo with %v: %v has lost it", err, got)
			}
			if _, err := s.Write([]byte("x")); err != nil { // for the next WriteTo
				t.Fatal(err)
			}
		}
	})
}

// slowNames is a Resolver that answers when the context ends, as *net.Resolver does.
type slowNames struct{}

func (slowNames) LookupNetIP(ctx context.Context, _, name string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, &net.DNSError{Err: "i/o timeout", Name: name, IsTimeout: true, UnwrapErr: ctx.Err()}
}

func TestResolverTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := vitro.New(vitro.Config{Resolver: slowNames{}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		d := vitro.Dialer{Stack: s, Timeout: time.Second}
		_, err = d.Dial("tcp", "example.com:80")
		wantErr(t, "Dial", err, context.DeadlineExceeded)
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.Timeout() || dns.Name != "example.com" {
			t.Errorf("Dial: %v has lost the *net.DNSError", err)
		}
	})
}
