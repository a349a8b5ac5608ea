package overlaid

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// echo has a stream that repeats what it gets, written out as the compiler of protocol buffers would.
var echo = grpc.ServiceDesc{
	ServiceName: "Echo", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Once",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			m := new(wrapperspb.BytesValue)
			return m, decode(m)
		},
	}},
	Streams: []grpc.StreamDesc{{
		StreamName: "Talk", ServerStreams: true, ClientStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			for {
				m := new(wrapperspb.BytesValue)
				if err := s.RecvMsg(m); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if err := s.SendMsg(m); err != nil {
					return err
				}
			}
		},
	}},
}

// A server and a client of grpc-go as they come: both set TCP_USER_TIMEOUT by a file descriptor, and
// read from one.
func TestGRPC(t *testing.T) {
	Needs(t)
	for _, address := range []string{"127.0.0.2:0", "[::1]:0", "localhost:0", ":0"} {
		t.Run(address, func(t *testing.T) { talk(t, address) })
	}
	t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { talk(t, "127.0.0.2:0") })
	})
}

func talk(t *testing.T, address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	s.RegisterService(&echo, nil)
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	defer func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Errorf("the server ends with %v", err)
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	to := l.Addr().String()
	if address == ":0" {
		to = "127.0.0.1:" + port
	}
	c, err := grpc.NewClient("passthrough:///"+to, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for size := 1; size < 1<<20; size *= 31 {
		b, got := bytes.Repeat([]byte{byte(size)}, size), new(wrapperspb.BytesValue)
		if err := c.Invoke(t.Context(), "/Echo/Once", wrapperspb.Bytes(b), got); err != nil || !bytes.Equal(got.GetValue(), b) {
			t.Fatalf("a call with %d octets: %d come back, %v", size, len(got.GetValue()), err)
		}
	}
	st, err := c.NewStream(t.Context(), &echo.Streams[0], "/Echo/Talk")
	if err != nil {
		t.Fatal(err)
	}
	const messages = 30
	go func() {
		for i := range messages {
			if st.SendMsg(wrapperspb.Bytes(bytes.Repeat([]byte{byte(i)}, 20_000))) != nil {
				return
			}
		}
		_ = st.CloseSend()
	}()
	for i := range messages {
		m := new(wrapperspb.BytesValue)
		if err := st.RecvMsg(m); err != nil || !bytes.Equal(m.GetValue(), bytes.Repeat([]byte{byte(i)}, 20_000)) {
			t.Fatalf("message %d of a stream: %d octets, %v", i, len(m.GetValue()), err)
		}
	}
	if err := st.RecvMsg(new(wrapperspb.BytesValue)); !errors.Is(err, io.EOF) {
		t.Errorf("a stream that the server has ended gives %v; want EOF", err)
	}
}
