package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitro-net/vitro"
)

// getFlags are the flags of vitro get.
type getFlags struct {
	tun     tunFlags
	output  string
	timeout time.Duration
}

func newGet() *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:   "get URL",
		Short: "Fetch a URL by HTTP, from a TUN",
		Long: `net/http fetches the URL over vitro's TCP on a TUN interface: from a server on this
machine at the kernel's end of the TUN, or from wherever the kernel forwards to. An answer
other than 2xx is a failure. A file is written under another name beside its own, and gets
its own when all of it is there.`,
		Example: `  vitro get http://10.1.0.1:8000/file -o file --tun vitro0 --addr 10.1.0.2/24`,
		Args:    oneArg("the URL"),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.tun.register(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", "-", "file to write to; - is the standard output")
	flags.DurationVar(&f.timeout, "timeout", 0, "how long all of it may take, as 30s; default: for ever")
	return cmd
}

func (f *getFlags) run(cmd *cobra.Command, arg string) error {
	u, err := url.Parse(arg)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usagef("%s is no URL that can be fetched: one is needed as http://10.1.0.1:8000/file", arg)
	}
	if f.timeout < 0 {
		return usagef("--timeout %v is less than nothing", f.timeout)
	}
	return f.tun.run(cmd, func(ctx context.Context, s *vitro.Stack) error {
		if f.timeout == 0 {
			return get(ctx, cmd.OutOrStdout(), s, u, f.output)
		}
		limited, cancel := context.WithTimeout(ctx, f.timeout)
		defer cancel()
		err := get(limited, cmd.OutOrStdout(), s, u, f.output)
		if err != nil && ctx.Err() == nil && limited.Err() != nil {
			s.Close() // a peer that is not there would be waited for
			return fmt.Errorf("%s: the answer is not complete after %v", u, f.timeout)
		}
		return err
	})
}

func get(ctx context.Context, out io.Writer, s *vitro.Stack, u *url.URL, output string) error {
	transport := &http.Transport{
		DialContext:       s.DialContext,
		ForceAttemptHTTP2: true,
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s: the server answers %s", u, answer.Status)
	}
	return writeTo(output, out, func(w io.Writer) error {
		n, err := io.Copy(w, answer.Body)
		if err != nil {
			return fmt.Errorf("%s: after %d octets: %w", u, n, err)
		}
		return nil
	})
}
