package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newGet() *cobra.Command {
	var tun tunFlags
	var output string
	cmd := &cobra.Command{
		Use:   "get URL",
		Short: "Fetch a URL by HTTP, from a TUN",
		Long: `net/http fetches the URL over vitro's TCP on a TUN interface: from a server on this
machine at the kernel's end of the TUN, or from wherever the kernel forwards to. An answer
other than 2xx is a failure.`,
		Example: `  vitro get http://10.1.0.1:8000/file -o file --tun vitro0 --addr 10.1.0.2/24`,
		Args:    oneArg("the URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			u, err := url.Parse(args[0])
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				return usagef("%s is no URL that can be fetched: one is needed as http://10.1.0.1:8000/file", args[0])
			}
			return get(cmd, u, output, &tun)
		},
	}
	tun.register(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "-", "file to write to; - is the standard output")
	return cmd
}

func get(cmd *cobra.Command, u *url.URL, output string, tun *tunFlags) error {
	s, err := tun.open()
	if err != nil {
		return err
	}
	defer finish(s)
	ctx, stop := interrupted(cmd.Context())
	defer stop()
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
	return writeTo(output, cmd.OutOrStdout(), func(w io.Writer) error {
		n, err := io.Copy(w, answer.Body)
		if err != nil {
			return fmt.Errorf("%s: after %d octets: %w", u, n, err)
		}
		return nil
	})
}
