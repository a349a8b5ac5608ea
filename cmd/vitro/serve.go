package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitro-net/vitro"
)

// shutdownTime is how long an interrupted server waits for the answers under way.
const shutdownTime = 5 * time.Second

func newServe() *cobra.Command {
	var tun tunFlags
	var port uint16
	cmd := &cobra.Command{
		Use:   "serve DIR",
		Short: "Serve the files of a directory by HTTP, on a TUN",
		Long: `The files in DIR are served by net/http over vitro's TCP on a TUN interface, until an
interrupt. The kernel of this machine, and whoever it routes for, are the clients.
Symbolic links that lead out of DIR are not found.`,
		Example: `  vitro serve . --tun vitro0 --addr 10.1.0.2/24 --addr fd00::2/64
  curl http://10.1.0.2/`,
		Args: oneArg("the directory to serve"),
		RunE: func(cmd *cobra.Command, args []string) error { return serve(cmd, args[0], &tun, port) },
	}
	tun.register(cmd)
	cmd.Flags().Uint16Var(&port, "port", 80, "TCP port to listen on; 0: one is chosen, and printed")
	return cmd
}

// oneArg wants one argument, and says what it is where it is missing.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usagef("%s is missing: %s", what, cmd.UseLine())
		case 1:
			return nil
		}
		return usagef("%q is one argument too many: %s", args[1], cmd.UseLine())
	}
}

func serve(cmd *cobra.Command, dir string, tun *tunFlags, port uint16) error {
	if err := tun.check(); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return tun.run(cmd, func(ctx context.Context, s *vitro.Stack) error {
		l, err := s.ListenTCP("tcp", net.JoinHostPort("", strconv.Itoa(int(port))))
		if err != nil {
			return err
		}
		_, chosen, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return err
		}
		for _, p := range tun.own {
			at := p.Addr().String()
			if chosen != "80" || p.Addr().Is6() {
				at = net.JoinHostPort(at, chosen)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "serving %s at http://%s/\n", dir, at)
		}
		return serveFiles(ctx, l, files{root.FS()}, cmd.ErrOrStderr())
	})
}

// serveFiles serves until the context ends, and then lets the answers under way arrive.
func serveFiles(ctx context.Context, l net.Listener, dir fs.FS, errs io.Writer) error {
	server := &http.Server{
		Handler:           http.FileServerFS(dir),
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(errs, "", log.LstdFlags),
	}
	done := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		wait, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		if goneOf(ctx) != nil {
			cancel() // no answer will arrive
		}
		done <- server.Shutdown(wait)
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if err := <-done; err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// files are those of an os.Root. What it refuses, a link that leads out of it, is not found
// by who asks for it: he need not know what is there.
type files struct{ fs.FS }

// Open opens a file within the root.
func (f files) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	var errno syscall.Errno
	if err != nil && (!errors.As(err, &errno) || errno == syscall.ELOOP) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return file, err
}
