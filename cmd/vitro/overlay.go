package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vitro-net/vitro/cmd/vitro/internal/loopback"
	"github.com/vitro-net/vitro/cmd/vitro/internal/overlay"
)

func newOverlay() *cobra.Command {
	return &cobra.Command{
		Use:   "overlay",
		Short: "Put vitro beneath package net of any Go program",
		Long: `Print the path of a file for the flag -overlay of go build, go test and go run. A program
built with it has vitro beneath the toolchain's package net for TCP and UDP on loopback addresses:
127.0.0.0/8, ::1, localhost, and what listens on all addresses. It needs no change, and runs in
testing/synctest bubbles too, where each bubble has a network of its own.

What listens on all addresses is reached from within the program alone. A port on which nothing
in the program listens is tried at the kernel, but for bubbles. Unix sockets, multicast and all
other addresses are the kernel's as before.

A datagram goes over vitro where a socket of the program hears it. Elsewhere, to another program's
port or to an address that is not loopback, an unconnected socket sends it by a socket of the
kernel's beside it, with the same port if that is free, and reads from then on what comes there. What
comes from outside to a socket that has sent nothing there is not read. In a bubble there is no
outside. Two sockets do not share a port, whatever SO_REUSEPORT says.

File gives an error. SyscallConn, on Linux, has Read's function read by a file descriptor what was
received, and Write's write what is to be sent; a UDP socket is read so, but not written. Control's
function, and that of a Dialer or ListenConfig, gets a socket of the kernel's. Of what it sets
there TCP_NODELAY, SO_KEEPALIVE and its times, TCP_USER_TIMEOUT, hop limit, traffic class, buffers,
and of UDP what recvmsg is to tell and whether datagrams may be cut, hold for vitro's.

A socket is refused to goroutines of another bubble than its own.

The environment of the program says what the network is:
  VITRO_LINK   what links do to packets, as delay=20ms,loss=1%,rate=10mbit. Keys:
               ` + loopback.Keys + `
  VITRO_PCAP   a file in which all packets are put down, in pcapng
  VITRO_STATS  a file for counters, one line
In a name of a file * stands for the number of the process.

The toolchain is the one that go runs in this directory, ` + overlay.Known + `; it is not changed. The file
and what it names are in the user's cache directory.`,
		Example: `  go test -overlay=$(vitro overlay) ./...
  VITRO_LINK=delay=20ms,loss=1% VITRO_PCAP=/tmp/it.pcapng go test -overlay=$(vitro overlay) -run TestX .`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := toolchain()
			if err != nil {
				return err
			}
			cache, err := os.UserCacheDir()
			if err != nil {
				cache = os.TempDir()
			}
			path, err := overlay.Write(t, filepath.Join(cache, "vitro", "overlay"))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), path)
			return err
		},
	}
}

// toolchain asks go which it is here.
func toolchain() (t overlay.Toolchain, err error) {
	out, err := exec.Command("go", "env", "-json", "GOROOT", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			err = fmt.Errorf("go env: %s", strings.TrimSpace(string(exit.Stderr)))
		}
		return t, err
	}
	return t, json.Unmarshal(out, &t)
}
