package link

import "github.com/vitro-net/vitro/wire"

// A Match picks packets for a rule. Some count, so that one value serves one Fault.
type Match func(dir Direction, p *wire.Packet) bool

// When is the rule that gives v to the packets of m, and lets others pass.
func When(m Match, v Verdict) Rule {
	return func(dir Direction, p *wire.Packet) Verdict {
		if m(dir, p) {
			return v
		}
		return Verdict{}
	}
}

// Rules asks every rule and joins what they say. Each sees every packet, so that their
// counts do not depend on each other.
func Rules(rules ...Rule) Rule {
	return func(dir Direction, p *wire.Packet) Verdict {
		var v Verdict
		for _, r := range rules {
			v = v.plus(r(dir, p))
		}
		return v
	}
}

// Going matches the packets of one direction.
func Going(want Direction) Match {
	return func(dir Direction, _ *wire.Packet) bool { return dir == want }
}

// TCP matches TCP segments with all control bits of set and none of unset.
func TCP(set, unset wire.Flags) Match {
	return func(_ Direction, p *wire.Packet) bool {
		h := tcpOf(p)
		return h != nil && h.Flags().Has(set) && h.Flags()&unset == 0
	}
}

// Text matches TCP segments with at least n octets of text.
func Text(n int) Match {
	return func(_ Direction, p *wire.Packet) bool {
		h := tcpOf(p)
		return h != nil && len(h.Text()) >= n
	}
}

// Port matches TCP segments from or to a port.
func Port(port uint16) Match {
	return func(_ Direction, p *wire.Packet) bool {
		h := tcpOf(p)
		return h != nil && (h.SrcPort() == port || h.DstPort() == port)
	}
}

// All matches what every one of m matches. They are asked in turn until one does not.
func All(m ...Match) Match {
	return func(dir Direction, p *wire.Packet) bool {
		for _, one := range m {
			if !one(dir, p) {
				return false
			}
		}
		return true
	}
}

// Any matches what one of m matches. They are asked in turn until one does.
func Any(m ...Match) Match {
	return func(dir Direction, p *wire.Packet) bool {
		for _, one := range m {
			if one(dir, p) {
				return true
			}
		}
		return false
	}
}

// Not matches what m does not.
func Not(m Match) Match {
	return func(dir Direction, p *wire.Packet) bool { return !m(dir, p) }
}

// Nth matches the nth packet that m matches, the first being 1, and no other.
func Nth(n int, m Match) Match {
	seen := 0
	return func(dir Direction, p *wire.Packet) bool {
		if !m(dir, p) {
			return false
		}
		seen++
		return seen == n
	}
}

// Every matches each nth packet that m matches: n, 2n, 3n and so on. An n below 1 matches
// none.
func Every(n int, m Match) Match {
	seen := 0
	return func(dir Direction, p *wire.Packet) bool {
		if n < 1 || !m(dir, p) {
			return false
		}
		seen++
		return seen%n == 0
	}
}

// tcpOf returns the TCP header and text of a packet, nil if it has none that is whole.
func tcpOf(p *wire.Packet) wire.TCP {
	var ip wire.IP
	if wire.ParseIP(p.Bytes(), &ip) != wire.FaultNone || ip.Proto != wire.ProtoTCP || ip.Fragment || len(ip.Payload) < wire.TCPHeaderLen {
		return nil
	}
	h := wire.TCP(ip.Payload)
	if off := h.DataOffset(); off < wire.TCPHeaderLen || off > len(h) {
		return nil
	}
	return h
}
