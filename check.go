package vitro

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/vitro-net/vitro/stack"
	"github.com/vitro-net/vitro/tcp"
)

// The bounds that Config's comments state.
const (
	minBuffer     = 4 << 10
	maxBuffer     = 1 << 30
	maxDelayedAck = 499 * time.Millisecond // less than 0.5 s: MUST-40
	maxR1         = 255
	maxSendMSS    = 536 // RFC 9293 section 3.7.1
	maxMSL        = 24 * time.Hour
)

// check refuses what the layers below would have to bend. Its errors name the field.
func (c *Config) check() error {
	for _, f := range []struct {
		name        string
		value       int
		least, most int // of what is not 0
	}{
		{name: "ReceiveBuffer", value: c.ReceiveBuffer, least: minBuffer, most: maxBuffer},
		{name: "SendBuffer", value: c.SendBuffer, least: minBuffer, most: maxBuffer},
		{name: "MaxReceiveBuffer", value: c.MaxReceiveBuffer, least: minBuffer, most: maxBuffer},
		{name: "MaxSendBuffer", value: c.MaxSendBuffer, least: minBuffer, most: maxBuffer},
		{name: "R1", value: c.R1, most: maxR1},
		{name: "MinSendMSS", value: c.MinSendMSS, most: maxSendMSS},
		{name: "ECN", value: int(c.ECN), most: int(tcp.ECNOff)},
		{name: "MTUProbing", value: int(c.MTUProbing), most: int(tcp.MTUProbeOff)},
		{name: "Limits.MaxConnections", value: c.Limits.MaxConnections, most: math.MaxInt},
		{name: "Limits.MaxBuffers", value: c.Limits.MaxBuffers, most: math.MaxInt},
		{name: "Limits.MaxHalfOpen", value: c.Limits.MaxHalfOpen, most: math.MaxInt},
		{name: "Limits.HalfOpen", value: c.Limits.HalfOpen, most: math.MaxInt},
		{name: "Limits.MaxOrphans", value: c.Limits.MaxOrphans, most: math.MaxInt},
		{name: "Limits.MaxTimeWait", value: c.Limits.MaxTimeWait, most: math.MaxInt32},
		{name: "Limits.MaxPaths", value: c.Limits.MaxPaths, most: math.MaxInt},
		{name: "Limits.MaxFastOpen", value: c.Limits.MaxFastOpen, most: math.MaxInt},
		{name: "Limits.MaxQueued", value: c.Limits.MaxQueued, most: math.MaxInt},
		{name: "Limits.MaxUDPSockets", value: c.Limits.MaxUDPSockets, most: math.MaxInt},
		{name: "Limits.MaxUDPBuffers", value: c.Limits.MaxUDPBuffers, most: math.MaxInt},
		{name: "Limits.ReassemblyBytes", value: c.Limits.ReassemblyBytes, most: math.MaxInt},
	} {
		switch {
		case f.value == 0 || f.value >= max(f.least, 1) && f.value <= f.most:
		case f.value < 0:
			return fmt.Errorf("vitro: Config.%s is %d: it cannot be negative", f.name, f.value)
		case f.value < f.least:
			return fmt.Errorf("vitro: Config.%s is %d: it is at least %d", f.name, f.value, f.least)
		default:
			return fmt.Errorf("vitro: Config.%s is %d: it is at most %d", f.name, f.value, f.most)
		}
	}
	if err := c.checkFixed(); err != nil {
		return err
	}
	if err := c.Keys.Check(); err != nil {
		return fmt.Errorf("vitro: Config.Keys: %w", err)
	}
	return c.checkTimes()
}

// checkFixed refuses a ceiling for what does not grow.
func (c *Config) checkFixed() error {
	switch {
	case c.MaxReceiveBuffer != 0 && c.ReceiveBuffer != 0:
		return fmt.Errorf("vitro: Config.MaxReceiveBuffer is %d, but ReceiveBuffer is fixed at %d", c.MaxReceiveBuffer, c.ReceiveBuffer)
	case c.MaxSendBuffer != 0 && c.SendBuffer != 0:
		return fmt.Errorf("vitro: Config.MaxSendBuffer is %d, but SendBuffer is fixed at %d", c.MaxSendBuffer, c.SendBuffer)
	case c.MaxSendBuffer != 0 && c.ElasticSend:
		return fmt.Errorf("vitro: Config.MaxSendBuffer is %d, but ElasticSend fixes the send buffer", c.MaxSendBuffer)
	}
	return nil
}

func (c *Config) checkTimes() error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"MSL", c.MSL}, {"MinRTO", c.MinRTO}, {"MaxRTO", c.MaxRTO}, {"FinWait2Timeout", c.FinWait2Timeout},
		{"Limits.StallTimeout", c.Limits.StallTimeout},
	} {
		if f.value < 0 {
			return fmt.Errorf("vitro: Config.%s is %v: it cannot be negative", f.name, f.value)
		}
	}
	if c.MSL > maxMSL {
		return fmt.Errorf("vitro: Config.MSL is %v: it is at most %v", c.MSL, maxMSL)
	}
	if c.DelayedAck > maxDelayedAck {
		return fmt.Errorf("vitro: Config.DelayedAck is %v: it is at most %v (RFC 9293 section 3.8.6.3: less than 0.5 seconds)", c.DelayedAck, maxDelayedAck)
	}
	least, most := cmp.Or(c.MinRTO, tcp.DefaultMinRTO), cmp.Or(c.MaxRTO, tcp.DefaultMaxRTO)
	if least > most {
		return fmt.Errorf("vitro: Config.MinRTO, %v, is more than Config.MaxRTO, %v", least, most)
	}
	first, last := cmp.Or(c.PortFirst, stack.DefaultPortFirst), cmp.Or(c.PortLast, stack.DefaultPortLast)
	if first > last {
		return fmt.Errorf("vitro: Config.PortFirst, %d, is beyond Config.PortLast, %d", first, last)
	}
	return nil
}
