package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/vitro-net/vitro/ladder"
	"github.com/vitro-net/vitro/wire"
)

// The capture read back by a foreign reader: the segments of the story, whole, at their times
// and with their reasons.
func TestCaptureReadByPcapgo(t *testing.T) {
	r, err := pcapgo.NewNgReader(strings.NewReader(demo(t, "--pcap", "-")), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.SectionInfo(); !strings.HasPrefix(got.Application, "vitro ") || !strings.HasPrefix(got.Comment, "A connection is born") {
		t.Errorf("section: %+v", got)
	}
	if r.LinkType() != layers.LinkTypeRaw {
		t.Errorf("link type %v", r.LinkType())
	}
	var got []string
	for {
		b, info, opts, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var ip wire.IP
		var seg wire.Segment
		if f := wire.ParseIP(b, &ip); f != wire.FaultNone {
			t.Fatal(f)
		}
		if f := wire.VerifyTCP(&ip, wire.ChecksumNone); f != wire.FaultNone {
			t.Fatal(f)
		}
		wire.ParseTCP(ip.Payload, &seg)
		if info.CaptureLength != len(b) || info.Length != len(b) || len(opts.Comments) != 1 {
			t.Errorf("%+v, %d octets, comments %q", info, len(b), opts.Comments)
		}
		s := ladder.SegmentOf(&seg)
		s.HasWnd, s.Options = false, wire.Options{}
		var news []string // each line but for its reason
		for line := range strings.Lines(opts.Comments[0]) {
			what, why, _ := strings.Cut(strings.TrimSpace(line), ", by RFC ")
			if why == "" {
				t.Errorf("no reason: %q", line)
			}
			news = append(news, what)
		}
		comment := strings.Join(news, "; ")
		got = append(got, strconv.FormatFloat(float64(info.Timestamp.UnixNano())/1e9-1, 'f', 2, 64)+" "+ip.Src.String()+" "+s.String()+" "+comment)
	}
	want := `0.00 10.0.0.1 <SEQ=1000><CTL=SYN> A is SYN-SENT
0.02 10.0.0.2 <SEQ=2000><ACK=1001><CTL=SYN,ACK> B is LISTEN; B is SYN-RECEIVED
0.04 10.0.0.1 <SEQ=1001><ACK=2001><CTL=ACK> A is ESTABLISHED; B is ESTABLISHED
1.04 10.0.0.1 <SEQ=1001><ACK=2001><CTL=FIN,ACK> A is FIN-WAIT-1
1.06 10.0.0.2 <SEQ=2001><ACK=1002><CTL=ACK> B is CLOSE-WAIT; A is FIN-WAIT-2
1.12 10.0.0.2 <SEQ=2001><ACK=1002><CTL=FIN,ACK> B is LAST-ACK
1.14 10.0.0.1 <SEQ=1002><ACK=2002><CTL=ACK> A is TIME-WAIT; B is CLOSED; A is CLOSED`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got:\n%s\nwant:\n%s", text, want)
	}
}

// tshark finds nothing to warn of in clean runs, and the comments in all.
func TestCaptureReadByTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("SKIPPED, CAPTURES ARE NOT JUDGED BY TSHARK: it is not installed")
	}
	for _, args := range [][]string{{}, {"--data", "100000"}, {"--scenario", "half-close", "--data", "50000"}, {"--scenario", "simultaneous-close"}} {
		warnings, comments := judge(t, tshark, args)
		if len(warnings) > 0 {
			t.Errorf("%v: tshark warns: %s", args, warnings)
		}
		if comments < 6 {
			t.Errorf("%v: %d comments", args, comments)
		}
	}
	// It does warn of a reset: the test would see it.
	if warnings, _ := judge(t, tshark, []string{"--scenario", "reset"}); len(warnings) != 1 {
		t.Errorf("a reset: warnings %q; want one", warnings)
	}
}

// The least severity that counts, of epan/proto.h: comment 0x100000, chat 0x200000, note
// 0x400000, warning 0x600000, error 0x800000.
const severityWarning = 0x600000

// judge has tshark read the capture of a run, and returns the packets of which it warns, and how
// many have a reason as their comment.
func judge(t *testing.T, tshark string, args []string) (warnings []string, comments int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.pcapng")
	demo(t, append(args, "--pcap", path)...)
	cmd := exec.Command(tshark, "-n", "-r", path, "-T", "fields", "-e", "_ws.expert.severity", "-e", "_ws.expert.message", "-e", "_ws.malformed",
		"-e", "frame.comment", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if err := cmd.Run(); err != nil || strings.Contains(errs.String(), "appears to") {
		t.Fatalf("tshark: %v\n%s", err, &errs)
	}
	for line := range strings.Lines(out.String()) {
		fields := strings.Split(strings.TrimRight(line, "\n"), "\t")
		bad := fields[2] != ""
		for s := range strings.SplitSeq(fields[0], ",") {
			n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
			bad = bad || s != "" && (err != nil || n >= severityWarning)
		}
		if bad {
			warnings = append(warnings, line)
		}
		if strings.Contains(fields[3], "RFC ") {
			comments++
		}
	}
	return warnings, comments
}

// Behind a router too each host's news stand with its own packets, and the segment that dies
// there says so.
func TestCaptureCommentsBehindRouter(t *testing.T) {
	r, err := pcapgo.NewNgReader(strings.NewReader(demo(t, "--scenario", "hop-limit", "--pcap", "-")), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"A is SYN-SENT", "", "A: RFC 9293 3.10.8: retransmission timeout", "B is LISTEN"} {
		_, _, opts, err := r.ReadPacketDataWithOptions()
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(opts.Comments, "\n")
		if !strings.HasPrefix(text, want) || want == "" && text != "" {
			t.Errorf("packet %d: %q; want %q", i+1, text, want)
		}
		if got := strings.Contains(text, routerRule); got != (i == 0) {
			t.Errorf("packet %d: %q", i+1, text)
		}
	}
}

// comments reads a capture and returns the last line of each packet's comment, which says what
// becomes of it.
func comments(t *testing.T, file string) (list []string) {
	t.Helper()
	r, err := pcapgo.NewNgReader(strings.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for {
		_, _, opts, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(opts.Comments, "\n")
		list = append(list, text[strings.LastIndexByte(text, '\n')+1:])
	}
}

// The capture says what the network does to a segment.
func TestCaptureOfFates(t *testing.T) {
	for flag, want := range map[string]string{"lose": "lost on its way", "damage": "damaged on its way", "double": "doubled on its way", "late": "late"} {
		list := comments(t, demo(t, "--"+flag, "2", "--pcap", "-"))
		for i, text := range list {
			if got := strings.HasSuffix(text, " "+want+"."); got != (i == 1) {
				t.Errorf("--%s 2: packet %d: %q", flag, i+1, text)
			}
		}
	}
}

// On a path of two links each packet is in the capture once: the seven of the story, the SYN
// that dies, and the router's word of it.
func TestCaptureBeforeRouter(t *testing.T) {
	if n := len(comments(t, demo(t, "--scenario", "hop-limit", "--pcap", "-"))); n != 9 {
		t.Errorf("%d packets", n)
	}
}
