package overlay

// What is changed in the toolchain's package net: into functions of these names and types
// statements of our own are put, before the first of theirs; nothing is taken away. In what is
// put in, $0 is the receiver and $1 the first parameter, whatever they are called there.

// edit is one such place.
type edit struct {
	fn  string // as (*T).Method or Function
	sig string // its types
	put string
}

const ctrlFunc = "func(context.Context, string, string, syscall.RawConn) error"

var edits = []edit{
	{
		"socket", "(context.Context, string, int, int, int, bool, sockaddr, sockaddr, " + ctrlFunc + ") (*netFD, error)",
		"if v, verr, mine := vitroSocket($1, $2, $3, $4, $6, $7, $8, $9); mine { return v, verr }",
	},
	{"(*netFD).Close", "() error", "if $0.vitro != nil { return $0.vitroClose() }"},
	{"(*netFD).shutdown", "(int) error", "if $0.vitro != nil { return $0.vitroShutdown($1) }"},
	{"(*netFD).Read", "([]byte) (int, error)", "if $0.vitro != nil { return $0.vitroRead($1) }"},
	{"(*netFD).Write", "([]byte) (int, error)", "if $0.vitro != nil { return $0.vitroWrite($1) }"},
	{"(*netFD).writeBuffers", "(*Buffers) (int64, error)", "if $0.vitro != nil { return $0.vitroWriteBuffers($1) }"},
	{"(*netFD).accept", "() (*netFD, error)", "if $0.vitro != nil { return $0.vitroAccept() }"},
	{"(*netFD).dup", "() (*os.File, error)", "if $0.vitro != nil { return nil, errVitroNoFD }"},
	{"(*netFD).SetDeadline", "(time.Time) error", "if $0.vitro != nil { return $0.vitroSetDeadline($1, true, true) }"},
	{"(*netFD).SetReadDeadline", "(time.Time) error", "if $0.vitro != nil { return $0.vitroSetDeadline($1, true, false) }"},
	{"(*netFD).SetWriteDeadline", "(time.Time) error", "if $0.vitro != nil { return $0.vitroSetDeadline($1, false, true) }"},

	{"(*TCPConn).SyscallConn", "() (syscall.RawConn, error)", "if $0.ok() && $0.fd.vitro != nil { return $0.fd.vitroSyscallConn() }"},
	{"(*TCPListener).SyscallConn", "() (syscall.RawConn, error)", "if $0.ok() && $0.fd.vitro != nil { return $0.fd.vitroSyscallConn() }"},

	{
		"setReadBuffer", "(*netFD, int) error",
		"if $1.vitro != nil { return $1.vitroSet(func(c *vitroConn) error { return c.SetReceiveBuffer($2) }) }",
	},
	{
		"setWriteBuffer", "(*netFD, int) error",
		"if $1.vitro != nil { return $1.vitroSet(func(c *vitroConn) error { return c.SetSendBuffer($2) }) }",
	},
	{
		"setLinger", "(*netFD, int) error",
		"if $1.vitro != nil { return $1.vitroSet(func(c *vitroConn) error { return c.SetLinger($2) }) }",
	},
	{
		"setNoDelay", "(*netFD, bool) error",
		"if $1.vitro != nil { return $1.vitroSet(func(c *vitroConn) error { return c.SetNoDelay($2) }) }",
	},
	{
		"setKeepAlive", "(*netFD, bool) error",
		"if $1.vitro != nil { return $1.vitroKeepAlive(func(k *vitroKeepAlive) { k.On = $2 }) }",
	},
	{
		"setKeepAliveIdle", "(*netFD, time.Duration) error",
		"if $1.vitro != nil { return $1.vitroKeepAlive(func(k *vitroKeepAlive) { vitroDuration(&k.Idle, $2, defaultTCPKeepAliveIdle) }) }",
	},
	{
		"setKeepAliveInterval", "(*netFD, time.Duration) error",
		"if $1.vitro != nil { return $1.vitroKeepAlive(func(k *vitroKeepAlive) { vitroDuration(&k.Interval, $2, defaultTCPKeepAliveInterval) }) }",
	},
	{
		"setKeepAliveCount", "(*netFD, int) error",
		"if $1.vitro != nil { return $1.vitroKeepAlive(func(k *vitroKeepAlive) { vitroCount(&k.Count, $2, defaultTCPKeepAliveCount) }) }",
	},
	{"isUsingMultipathTCP", "(*netFD) bool", "if $1.vitro != nil { return false }"},

	{"sendFile", "(*netFD, io.Reader) (int64, error, bool)", "if $1.vitro != nil { return 0, nil, false }"},
	{"spliceFrom", "(*netFD, io.Reader) (int64, error, bool)", "if $1.vitro != nil || vitroIs($2) { return 0, nil, false }"},
	{"spliceTo", "(io.Writer, *netFD) (int64, error, bool)", "if $2.vitro != nil { return 0, nil, false }"},
}

// unreached are the other functions that touch the descriptor of a netFD, and why none of ours
// gets there. A function that touches it and stands in neither list is of a toolchain that nobody
// has looked at.
var unreached = map[string]string{
	"newFD":                     kernels,
	"(*netFD).init":             kernels,
	"(*netFD).connect":          kernels,
	"(*netFD).dial":             kernels,
	"(*netFD).listenStream":     kernels,
	"(*netFD).listenDatagram":   kernels,
	"(*netFD).readFrom":         datagrams,
	"(*netFD).readFromInet4":    datagrams,
	"(*netFD).readFromInet6":    datagrams,
	"(*netFD).readMsg":          datagrams,
	"(*netFD).readMsgInet4":     datagrams,
	"(*netFD).readMsgInet6":     datagrams,
	"(*netFD).writeTo":          datagrams,
	"(*netFD).writeToInet4":     datagrams,
	"(*netFD).writeToInet6":     datagrams,
	"(*netFD).writeMsg":         datagrams,
	"(*netFD).writeMsgInet4":    datagrams,
	"(*netFD).writeMsgInet6":    datagrams,
	"joinIPv4Group":             datagrams,
	"joinIPv6Group":             datagrams,
	"setIPv4MulticastInterface": datagrams,
	"setIPv4MulticastLoopback":  datagrams,
	"setIPv6MulticastInterface": datagrams,
	"setIPv6MulticastLoopback":  datagrams,
	"(*rawConn).Control":        raw,
	"(*rawConn).Read":           raw,
	"(*rawConn).Write":          raw,
	"(*rawConn).PollFD":         raw,
	"hasFallenBack":             multipath,
	"isUsingMPTCPProto":         multipath,
}

const (
	kernels   = "makes or opens one of the kernel's"
	datagrams = "is of UDP, raw IP or Unix, which stay with the kernel"
	raw       = "is of the kernel's RawConn, which none of ours gives"
	multipath = "isUsingMultipathTCP calls it"
)

// fieldOf is the type that gets a field.
const (
	fieldOf = "netFD"
	field   = "vitro *vitroFD;"
)
