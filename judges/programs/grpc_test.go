package programs_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/vitro-net/vitro/lab"
)

// echoService has a call of each kind: its methods are written out as the compiler of protocol
// buffers would.
var echoService = grpc.ServiceDesc{
	ServiceName: "Echo", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Once",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			m := new(wrapperspb.BytesValue)
			return m, decode(m)
		},
	}, {
		MethodName: "Never", // it answers when the caller has gone
		Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := decode(new(wrapperspb.BytesValue)); err != nil {
				return nil, err
			}
			<-ctx.Done()
			return nil, status.FromContextError(ctx.Err()).Err()
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

// grpcPair is a server on the host "server" and a connection to it from "client".
type grpcPair struct {
	conn   *grpc.ClientConn
	health *health.Server
}

// newGRPC begins both. The keep-alive is that of the client: after ten seconds in which nothing came
// it asks, and gives the connection up five seconds later.
func newGRPC(t *testing.T, n *lab.Net) *grpcPair {
	server, client := n.Host("server"), n.Host("client")
	s := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	s.RegisterService(&echoService, nil)
	p := &grpcPair{health: health.NewServer()}
	healthpb.RegisterHealthServer(s, p.health)
	l := listen(t, server, ":50051")
	go s.Serve(l)
	conn, err := grpc.NewClient("passthrough:///server:50051",
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return client.DialContext(ctx, "tcp", address)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}))
	must(t, err)
	p.conn = conn
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
	})
	return p
}

// once is one call.
func (p *grpcPair) once(ctx context.Context, b []byte) ([]byte, error) {
	got := new(wrapperspb.BytesValue)
	err := p.conn.Invoke(ctx, "/Echo/Once", wrapperspb.Bytes(b), got)
	return got.GetValue(), err
}

func (p *grpcPair) talk(ctx context.Context) (grpc.ClientStream, error) {
	return p.conn.NewStream(ctx, &echoService.Streams[0], "/Echo/Talk")
}

// Calls, a stream to and fro, and a watch that the server feeds.
func TestGRPC(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		p := newGRPC(t, n)
		for i := range 20 {
			b := octets(1+i*5000, n.Seed()+uint64(i))
			got, err := p.once(t.Context(), b)
			must(t, err)
			same(t, "a call", got, b)
		}
		s, err := p.talk(t.Context())
		must(t, err)
		const messages = 50
		go func() {
			for i := range messages {
				if s.SendMsg(wrapperspb.Bytes(octets(8000, uint64(i)))) != nil {
					return
				}
			}
			s.CloseSend()
		}()
		for i := range messages {
			m := new(wrapperspb.BytesValue)
			must(t, s.RecvMsg(m))
			same(t, "a message of a stream", m.GetValue(), octets(8000, uint64(i)))
		}
		if err := s.RecvMsg(new(wrapperspb.BytesValue)); !errors.Is(err, io.EOF) {
			t.Errorf("a stream that the server has ended gives %v; want EOF", err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		w, err := healthpb.NewHealthClient(p.conn).Watch(ctx, &healthpb.HealthCheckRequest{})
		must(t, err)
		for _, want := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
			r, err := w.Recv()
			must(t, err)
			if r.Status != want {
				t.Errorf("the watch says %v; want %v", r.Status, want)
			}
			p.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
		}
		cancel()
		if _, err := w.Recv(); status.Code(err) != codes.Canceled {
			t.Errorf("a watch that was given up gives %v; want Canceled", err)
		}
	})
}

// A deadline ends a call exactly then, on both sides.
func TestGRPCDeadline(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		p := newGRPC(t, n)
		if _, err := p.once(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		start := time.Now()
		err := p.conn.Invoke(ctx, "/Echo/Never", wrapperspb.Bytes(nil), new(wrapperspb.BytesValue))
		if d := time.Since(start); status.Code(err) != codes.DeadlineExceeded || d < 7*time.Second-time.Millisecond || d > 7*time.Second {
			t.Errorf("after %v: %v; want DeadlineExceeded after 7 s", d, err)
		}
		if _, err := p.once(t.Context(), []byte("still there")); err != nil {
			t.Errorf("the next call: %v", err)
		}
	})
}

// A partition of a minute in the middle of a stream: the keep-alive finds it, 15 s after the last
// that came, and the stream ends with Unavailable. A call that waits for the connection gets through as
// soon as there is one.
func TestGRPCPartition(t *testing.T) {
	overLoss(t, func(t *testing.T, n *lab.Net) {
		p := newGRPC(t, n)
		s, err := p.talk(t.Context())
		must(t, err)
		must(t, s.SendMsg(wrapperspb.Bytes([]byte("before"))))
		must(t, s.RecvMsg(new(wrapperspb.BytesValue)))
		cutFor(n, "client", "server", time.Minute)
		start := time.Now()
		err = s.RecvMsg(new(wrapperspb.BytesValue))
		if d := time.Since(start); status.Code(err) != codes.Unavailable || d < 10*time.Second || d > 20*time.Second {
			t.Errorf("the stream ends after %v with %v; want Unavailable between 10 and 20 s", d, err)
		}
		if _, err := p.once(t.Context(), nil); status.Code(err) != codes.Unavailable {
			t.Errorf("a call during the partition: %v; want Unavailable", err)
		}
		got := new(wrapperspb.BytesValue)
		err = p.conn.Invoke(t.Context(), "/Echo/Once", wrapperspb.Bytes([]byte("after")), got, grpc.WaitForReady(true))
		if d := time.Since(start); err != nil || string(got.GetValue()) != "after" || d < time.Minute || d > soon {
			t.Errorf("a call that waits for the connection: %q, %v after %v; want it once the partition has healed", got.GetValue(), err, d)
		}
	})
}
