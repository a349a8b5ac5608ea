package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
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
Symbolic links that lead out of DIR are not followed.`,
		Example: `  vitro serve . --tun vitro0 --addr 10.1.0.2/24 --addr fd00::2/64
  curl http://10.1.0.2/`,
		Args: oneArg("the directory to serve"),
		RunE: func(cmd *cobra.Command, args []string) error { return serve(cmd, args[0], &tun, port) },
	}
	tun.register(cmd)
	cmd.Flags().Uint16Var(&port, "port", 80, "TCP port to listen on")
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
	s, err := tun.open()
	if err != nil {
		return err
	}
	defer finish(s)
	l, err := s.Listen("tcp", net.JoinHostPort("", strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	for _, p := range tun.own {
		at := p.Addr().String()
		if port != 80 || p.Addr().Is6() {
			at = net.JoinHostPort(at, strconv.Itoa(int(port)))
		}
		fmt.Fprintf(cmd.OutOrStdout(), "serving %s at http://%s/\n", dir, at)
	}
	ctx, stop := interrupted(cmd.Context())
	defer stop()
	server := &http.Server{
		Handler:           http.FileServerFS(root.FS()),
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(cmd.ErrOrStderr(), "", log.LstdFlags),
	}
	done := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		wait, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		done <- server.Shutdown(wait)
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if err := <-done; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
