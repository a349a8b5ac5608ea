package vitro

import (
	"net"
	"time"

	"github.com/vitro-net/vitro/host"
)

// Keep-alive as package net has it: on for every connection, unless a Dialer or
// ListenConfig says otherwise. RFC 9293 section 3.8.4 wants it off unless the application
// turns it on (MUST-25), and so it is in package host; who opens connections by this door
// asks for what net gives.
const (
	defaultKeepAliveTime  = 15 * time.Second
	defaultKeepAliveCount = 9
	maxKeepAliveTime      = 32767 * time.Second // as Linux's
	maxKeepAliveCount     = 127
)

// initialKeepAlive is what a new connection has, by the fields of net.Dialer and
// net.ListenConfig of these names.
func initialKeepAlive(idle time.Duration, config net.KeepAliveConfig) net.KeepAliveConfig {
	if !config.Enable && idle >= 0 {
		return net.KeepAliveConfig{Enable: true, Idle: idle}
	}
	return config
}

// keepAlive returns config in the host's terms: 0 is net's default, and what is negative
// stays as it was.
func keepAlive(config net.KeepAliveConfig, was host.KeepAlive) host.KeepAlive {
	k := host.KeepAlive{
		On:       config.Enable,
		Idle:     keepAliveTime(config.Idle, was.Idle),
		Interval: keepAliveTime(config.Interval, was.Interval),
		Count:    was.Count,
	}
	switch {
	case config.Count == 0:
		k.Count = defaultKeepAliveCount
	case config.Count > 0:
		k.Count = config.Count
	}
	return k
}

// keepAliveFits reports whether Linux would take it.
func keepAliveFits(config net.KeepAliveConfig) bool {
	return config.Idle <= maxKeepAliveTime && config.Interval <= maxKeepAliveTime && config.Count <= maxKeepAliveCount
}

func keepAliveTime(d, was time.Duration) time.Duration {
	switch {
	case d == 0:
		return defaultKeepAliveTime
	case d < 0:
		return was
	}
	return d
}
