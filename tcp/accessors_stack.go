package tcp

import "github.com/vitro-net/vitro/seq"

// SndUna returns SND.UNA: whoever holds many connections sees by it that the peer has
// acknowledged something, at less cost than by Status.
func (c *Conn) SndUna() seq.Num { return c.snd.una }
