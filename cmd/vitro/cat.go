package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vitro-net/vitro"
)

// catFlags are the flags of vitro listen and vitro dial.
type catFlags struct {
	tun           tunFlags
	echo, discard bool
}

func (f *catFlags) register(cmd *cobra.Command) {
	f.tun.register(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.echo, "echo", false, "send back all that comes, instead of standard input and output")
	flags.BoolVar(&f.discard, "discard", false,
		"read all that comes and throw it away, instead of standard input and output")
}

func newListen() *cobra.Command {
	var f catFlags
	cmd := &cobra.Command{
		Use:   "listen ADDR",
		Short: "Take a TCP connection on a TUN, as netcat does",
		Long: `vitro listens on ADDR, [HOST]:PORT, by a TUN interface. The first connection is joined to
standard input and output, until both ends have closed; the end of standard input is sent
as a FIN. With --echo and --discard every connection is served, until an interrupt:
RFC 862 and RFC 863.`,
		Example: `  vitro listen :7 --echo --tun vitro0 --addr 10.1.0.2/24
  vitro listen :9000 --tun vitro0 --addr 10.1.0.2/24 > file`,
		Args: addrArg,
		RunE: func(cmd *cobra.Command, args []string) error { return f.listen(cmd, args[0]) },
	}
	f.register(cmd)
	return cmd
}

func newDial() *cobra.Command {
	var f catFlags
	cmd := &cobra.Command{
		Use:   "dial ADDR",
		Short: "Make a TCP connection from a TUN, as netcat does",
		Long: `vitro connects to ADDR, HOST:PORT, by a TUN interface. The connection is joined to
standard input and output, until both ends have closed; the end of standard input is sent
as a FIN.`,
		Example: `  vitro dial 10.1.0.1:9000 --tun vitro0 --addr 10.1.0.2/24 < file`,
		Args:    addrArg,
		RunE:    func(cmd *cobra.Command, args []string) error { return f.dial(cmd, args[0]) },
	}
	f.register(cmd)
	return cmd
}

func (f *catFlags) check() error {
	if f.echo && f.discard {
		return usagef("--echo and --discard exclude each other")
	}
	return f.tun.check()
}

// addrArg wants one address.
func addrArg(cmd *cobra.Command, args []string) error {
	if err := oneArg("the address")(cmd, args); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(args[0]); err != nil {
		return usagef("%s is no address: a host and a port are needed, as 10.1.0.1:9000 or [fd00::1]:9000", args[0])
	}
	return nil
}

func (f *catFlags) listen(cmd *cobra.Command, addr string) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.tun.run(cmd, func(ctx context.Context, s *vitro.Stack) error {
		l, err := s.ListenTCP("tcp", addr)
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { l.Close() })()
		fmt.Fprintf(cmd.ErrOrStderr(), "listening on %v\n", l.Addr())
		if f.echo || f.discard {
			return f.serveAll(ctx, cmd, l)
		}
		c, err := l.AcceptTCP()
		if err != nil {
			return orInterrupted(ctx, err)
		}
		l.Close() // one connection, as netcat
		return f.join(ctx, cmd, c)
	})
}

// serveAll serves each connection that comes, until the context ends.
func (f *catFlags) serveAll(ctx context.Context, cmd *cobra.Command, l *vitro.Listener) error {
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return orInterrupted(ctx, err)
		}
		go func() {
			defer context.AfterFunc(ctx, func() { c.Close() })()
			if err := f.serve(c); err != nil && ctx.Err() == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%v: %v\n", c.RemoteAddr(), err)
			}
		}()
	}
}

// orInterrupted returns err, or nil where the context's end has brought it about.
func orInterrupted(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

func (f *catFlags) dial(cmd *cobra.Command, addr string) error {
	if strings.HasPrefix(addr, ":") {
		return usagef("%s is no address to connect to: the host is missing", addr)
	}
	if err := f.check(); err != nil {
		return err
	}
	return f.tun.run(cmd, func(ctx context.Context, s *vitro.Stack) error {
		c, err := s.DialTCP(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		if f.echo || f.discard {
			defer context.AfterFunc(ctx, func() { c.Close() })()
			return orInterrupted(ctx, f.serve(c))
		}
		return f.join(ctx, cmd, c)
	})
}

// serve echoes or discards what comes, until the peer closes.
func (f *catFlags) serve(c *vitro.Conn) error {
	defer c.Close()
	var err error
	if f.echo {
		_, err = io.Copy(c, c)
	} else {
		_, err = io.Copy(io.Discard, c)
	}
	return err
}

// join carries standard input to the connection, and the connection to standard output,
// until the peer has closed and standard input has ended; or until an interrupt.
func (f *catFlags) join(ctx context.Context, cmd *cobra.Command, c *vitro.Conn) error {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	var in error
	sent := make(chan struct{})
	go func() { // it may wait for the standard input for ever: after an interrupt nobody waits for it
		defer close(sent)
		if _, in = io.Copy(c, cmd.InOrStdin()); in == nil {
			in = c.CloseWrite()
		}
	}()
	_, out := io.Copy(cmd.OutOrStdout(), c)
	if out == nil {
		select {
		case <-sent:
		case <-ctx.Done():
			return nil
		}
		out = in
	}
	return orInterrupted(ctx, out)
}
