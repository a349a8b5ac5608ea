package judges_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitro-net/vitro/link"
)

// bulk is 200 MB that repeat nowhere, and their SHA-256.
var bulk = sync.OnceValues(func() ([]byte, string) {
	b := make([]byte, 200_000_000)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b, fmt.Sprintf("%x", sha256.Sum256(b))
})

// files serves n octets of bulk to GET and answers PUT and POST with the SHA-256 of the body.
func files(n int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			b, _ := bulk()
			http.ServeContent(w, r, "bulk", time.Time{}, bytes.NewReader(b[:n]))
			return
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "%x", sum.Sum(nil))
	})
}

// serve serves h at an address until the test ends, and returns the URL.
func serve(t testing.TB, s side, at netip.Addr, h http.Handler) string {
	t.Helper()
	l, err := s.Listen(netip.AddrPortFrom(at, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	var done sync.WaitGroup
	done.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); done.Wait() })
	return "http://" + l.Addr().String() + "/"
}

// curl runs curl in the namespace; it is to exit with 0.
func (w *world) curl(t testing.TB, in io.Reader, out io.Writer, args ...string) {
	t.Helper()
	cmd := exec.Command("curl", append([]string{"--silent", "--show-error", "--fail", "--max-time", "180"}, args...)...)
	var said strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &said
	err := w.ns.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatalf("%s: %v: %s; %v", cmd, err, said.String(), w)
	}
}

// 200 MB down and up, whoever is the client: curl of a server on vitro, and package http on
// vitro of a server on the kernel's sockets.
func TestKernelBulk(t *testing.T) {
	need(t, "curl")
	b, want := bulk()
	eachWay(t, setup{}, func(t *testing.T, s setup, d way) {
		w := newWorld(t, s)
		_, listens, at := d.sides(w)
		url := serve(t, listens, at, files(len(b)))
		down, up := w.curlDown, w.curlUp
		if d.vitroDials {
			down, up = w.httpDown, w.httpUp
		}
		start := time.Now()
		if got := down(t, url); got != want {
			t.Errorf("download: SHA-256 %s, want %s", got, want)
		}
		between := time.Now()
		if got := up(t, url, b); got != want {
			t.Errorf("upload: SHA-256 %s, want %s", got, want)
		}
		t.Logf("%.0f MB/s down, %.0f MB/s up, SHA-256 at both ends included",
			float64(len(b))/1e6/between.Sub(start).Seconds(), float64(len(b))/1e6/time.Since(between).Seconds())
	})
}

func (w *world) curlDown(t *testing.T, url string) string {
	sum := sha256.New()
	w.curl(t, nil, sum, url)
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func (w *world) curlUp(t *testing.T, url string, b []byte) string {
	var out strings.Builder
	w.curl(t, bytes.NewReader(b), &out, "--upload-file", "-", url)
	return out.String()
}

// client is package http's over vitro, for the length of a test.
func (w *world) client(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: w.stack.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func (w *world) httpDown(t *testing.T, url string) string {
	resp, err := w.client(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sum := sha256.New()
	if _, err = io.Copy(sum, resp.Body); err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func (w *world) httpUp(t *testing.T, url string, b []byte) string {
	resp, err := w.client(t).Post(url, "application/octet-stream", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(got)
}

// part is n octets of bulk, others for each seed, and how readDigest prints them.
func part(n, seed int) ([]byte, string) {
	b, _ := bulk()
	b = b[seed*1000:][:n]
	return b, fmt.Sprintf("%d %x", n, sha256.Sum256(b))
}

func readDigest(r io.Reader) (string, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	return fmt.Sprintf("%d %x", n, sum.Sum(nil)), err
}

// transfer sends n octets and a FIN from one end to the other, and compares.
func transfer(t *testing.T, w *world, from, to conn, n, seed int) {
	t.Helper()
	b, want := part(n, seed)
	sent := make(chan error, 1)
	go func() {
		_, err := from.Write(b)
		sent <- errors.Join(err, from.CloseWrite())
	}()
	if got, err := readDigest(to); got != want || err != nil {
		t.Errorf("read %s, %v; want %s; %v", got, err, want, w)
	}
	if err := <-sent; err != nil {
		t.Errorf("write: %v; %v", err, w)
	}
}

// exchange is transfer both ways at once.
func exchange(t *testing.T, w *world, a, b conn, n int) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() { transfer(t, w, a, b, n, 1) })
	wg.Go(func() { transfer(t, w, b, a, n, 2) })
	wg.Wait()
}

// Every MTU carries data both ways at once, in packets that are as long as it allows and
// no longer.
func TestKernelMTU(t *testing.T) {
	t.Parallel()
	for _, mtu := range []int{1280, 1500, 9000, 65535} {
		t.Run(strconv.Itoa(mtu), func(t *testing.T) {
			t.Parallel()
			eachWay(t, setup{mtu: mtu}, func(t *testing.T, s setup, d way) {
				t.Parallel()
				var longest lengths
				s.tap = longest.see
				w := newWorld(t, s)
				v, k := d.ends(t, vitroSide{w}, kernelSide{w})
				exchange(t, w, v, k, 10_000_000)
				longest.want(t, mtu)
			})
		})
	}
}

// 5 % of the packets of both directions are lost, or doubled, or overtaken, or all of it.
func TestKernelFaults(t *testing.T) {
	need(t, "curl")
	t.Parallel()
	for name, odds := range map[string]link.Odds{
		"loss":        {Drop: 0.05},
		"duplication": {Duplicate: 0.05},
		"reordering":  {Reorder: 0.05},
		"all":         {Drop: 0.05, Duplicate: 0.05, Reorder: 0.05},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fault := link.FaultConfig{Seed: 1, Out: odds, In: odds}
			eachWay(t, setup{fault: &fault}, func(t *testing.T, s setup, d way) {
				t.Parallel()
				w := newWorld(t, s)
				_, listens, at := d.sides(w)
				const n = 5_000_000
				b, _ := bulk()
				want := fmt.Sprintf("%x", sha256.Sum256(b[:n]))
				url := serve(t, listens, at, files(n))
				down, up := w.curlDown, w.curlUp
				if d.vitroDials {
					down, up = w.httpDown, w.httpUp
				}
				if got := down(t, url); got != want {
					t.Errorf("download: SHA-256 %s, want %s", got, want)
				}
				if got := up(t, url, b[:n]); got != want {
					t.Errorf("upload: SHA-256 %s, want %s", got, want)
				}
				for dir, c := range map[link.Direction]link.FaultCount{link.Out: w.fault.Stats().Out, link.In: w.fault.Stats().In} {
					if odds.Drop > 0 && c.Dropped == 0 || odds.Duplicate > 0 && c.Duplicated == 0 || odds.Reorder > 0 && c.Reordered == 0 {
						t.Errorf("the link did no harm %v: %+v", dir, c)
					}
				}
			})
		})
	}
}
