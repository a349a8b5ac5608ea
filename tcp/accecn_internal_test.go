package tcp

// What the sender makes of ACE and of options (RFC 9768 appendix A), held against the obvious: a
// receiver that counts in numbers without end, and says of them what the fields hold.

import (
	"math/rand/v2"
	"testing"

	"github.com/vitro-net/vitro/wire"
)

// The examples of appendix A.1 and A.2, in their words.
func TestExamplesOfTheAppendix(t *testing.T) {
	a := newAccVars()
	a.snd.CEB = 33_554_433
	var o wire.Options
	o.AccECNOrder = 0
	o.AddAccECN(1)
	o.AddAccECN(1461)
	if d, ok := a.readOption(&o); d != 1460 || !ok || a.snd.CEB != 33_555_893 {
		t.Errorf("d.ceb is %d, s.ceb %d; appendix A.1 has 1460 and 33,555,893", d, a.snd.CEB)
	}
	for _, tc := range []struct{ packets, marks, want uint32 }{{9, 2, 2}, {10, 2, 10}} {
		if got := safeMarks(tc.marks, tc.packets); got != tc.want {
			t.Errorf("%d packets, d.cep %d: dSafer.cep is %d; appendix A.2.1 has %d", tc.packets, tc.marks, got, tc.want)
		}
	}
	for _, tc := range []struct{ marks, safe, octets, want uint32 }{{0, 8, 1460, 8}, {2, 10, 1460, 2}, {7, 15, 10200, 7}} {
		if got := likelyMarks(tc.marks, tc.safe, tc.octets, 1460); got != tc.want {
			t.Errorf("d.cep %d, dSafer.cep %d, d.ceb %d: %d; appendix A.2.2 has %d", tc.marks, tc.safe, tc.octets, got, tc.want)
		}
	}
}

// receiver is the obvious one: it counts, and each ACK says all it knows.
type receiver struct{ packets, marked, octets, ect0 uint64 }

// checkDecoding sends packets of mss octets of which some are marked, and lets some ACKs come. With
// fewer than eight packets between two of them the count is exact; with more and no option it is
// not too small; with an option it is exact for packets of full size, though up to two ACKs before it
// had none.
func checkDecoding(t *testing.T, seed uint64, option bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	const mss = 1000
	a, rcv := newAccVars(), receiver{marked: 5, ect0: 1}
	var seen receiver // at the last ACK that came
	seen = rcv
	exact := true
	share := r.IntN(5)
	longest := 1 + r.IntN(20)
	without := 2 // the SYN,ACK has one, and so the first ACK here
	for range 200 {
		for range 1 + r.IntN(longest) {
			rcv.packets++
			if r.IntN(4) < share {
				rcv.marked++
				rcv.octets += mss
			} else {
				rcv.ect0 += mss
			}
		}
		n := uint32(rcv.packets - seen.packets)
		var o wire.Options
		said := option && (without == 2 || r.IntN(3) > 0)
		without++
		if said {
			without = 0
			o.AddAccECN(uint32(rcv.ect0))
			o.AddAccECN(uint32(rcv.octets))
		}
		octets, told := a.readOption(&o)
		before := a.snd.CEP
		a.snd.CEP += uint64(a.decide(newMarks(a.snd.CEP, uint8(rcv.marked)), n, octets, mss, told))
		seen = rcv
		exact = exact && n < 8
		switch {
		case a.snd.CEP&7 != rcv.marked&7:
			t.Fatalf("seed %d: s.cep %d and r.cep %d differ in what ACE says", seed, a.snd.CEP, rcv.marked)
		case (exact || said) && a.snd.CEP != rcv.marked:
			t.Fatalf("seed %d: %d packets after s.cep %d: it is %d, r.cep %d", seed, n, before, a.snd.CEP, rcv.marked)
		case a.mean <= thinned*meanUnit && !option && n >= 8 && a.snd.CEP-before > uint64(n):
			t.Fatalf("seed %d: %d marks of %d packets", seed, a.snd.CEP-before, n)
		case said && (a.snd.CEB != rcv.octets || a.snd.E0B != rcv.ect0):
			t.Fatalf("seed %d: s.ceb %d and s.e0b %d; r.ceb %d, r.e0b %d", seed, a.snd.CEB, a.snd.E0B, rcv.octets, rcv.ect0)
		}
		if longest < 5 && a.snd.CEP < rcv.marked {
			t.Fatalf("seed %d: s.cep %d is less than r.cep %d", seed, a.snd.CEP, rcv.marked)
		}
	}
}

func TestDecodingAgainstTheObvious(t *testing.T) {
	for seed := range uint64(2000) {
		checkDecoding(t, seed, false)
		checkDecoding(t, seed, true)
	}
}

func FuzzDecoding(f *testing.F) {
	f.Add(uint64(1), true)
	f.Fuzz(func(t *testing.T, seed uint64, option bool) { checkDecoding(t, seed, option) })
}

// Of a long gap between ACKs, where they are not thinned as a rule, the safest count is taken, which
// is never less than the truth; of one among many long ones the least.
func TestGapsBetweenAcks(t *testing.T) {
	for marks := range uint32(40) {
		a := newAccVars()
		for range 100 {
			a.decide(0, 2, 0, 1000, false)
		}
		if got := a.decide(newMarks(5, uint8(5+marks)), 40, 0, 1000, false); got < marks || got > 40 || (got-marks)%8 != 0 {
			t.Errorf("%d of 40 packets are marked: %d", marks, got)
		}
		for range 1000 {
			a.decide(0, 40, 0, 1000, false)
		}
		if got := a.decide(0, 40, 0, 1000, false); got != 0 {
			t.Errorf("ACKs of 40 packets each: %d marks, though ACE stays", got)
		}
	}
}
