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

	{
		"(*netFD).readFromInet4", "([]byte, *syscall.SockaddrInet4) (int, error)",
		"if $0.vitro != nil { return $0.vitroReadFrom4($1, $2) }",
	},
	{
		"(*netFD).readFromInet6", "([]byte, *syscall.SockaddrInet6) (int, error)",
		"if $0.vitro != nil { return $0.vitroReadFrom6($1, $2) }",
	},
	{
		"(*netFD).readMsgInet4", "([]byte, []byte, int, *syscall.SockaddrInet4) (int, int, int, error)",
		"if $0.vitro != nil { return $0.vitroReadMsg4($1, $2, $4) }",
	},
	{
		"(*netFD).readMsgInet6", "([]byte, []byte, int, *syscall.SockaddrInet6) (int, int, int, error)",
		"if $0.vitro != nil { return $0.vitroReadMsg6($1, $2, $4) }",
	},
	{
		"(*netFD).writeToInet4", "([]byte, *syscall.SockaddrInet4) (int, error)",
		"if $0.vitro != nil { return $0.vitroWriteTo4($1, $2) }",
	},
	{
		"(*netFD).writeToInet6", "([]byte, *syscall.SockaddrInet6) (int, error)",
		"if $0.vitro != nil { return $0.vitroWriteTo6($1, $2) }",
	},
	{
		"(*netFD).writeMsg", "([]byte, []byte, syscall.Sockaddr) (int, int, error)",
		"if $0.vitro != nil { return $0.vitroWriteMsg($1, $2, $3) }",
	},
	{
		"(*netFD).writeMsgInet4", "([]byte, []byte, *syscall.SockaddrInet4) (int, int, error)",
		"if $0.vitro != nil { return $0.vitroWriteMsg4($1, $2, $3) }",
	},
	{
		"(*netFD).writeMsgInet6", "([]byte, []byte, *syscall.SockaddrInet6) (int, int, error)",
		"if $0.vitro != nil { return $0.vitroWriteMsg6($1, $2, $3) }",
	},

	{"(*UDPConn).SyscallConn", "() (syscall.RawConn, error)", "if $0.ok() && $0.fd.vitro != nil { return $0.fd.vitroSyscallConn() }"},
	{"(*TCPConn).SyscallConn", "() (syscall.RawConn, error)", "if $0.ok() && $0.fd.vitro != nil { return $0.fd.vitroSyscallConn() }"},
	{"(*TCPListener).SyscallConn", "() (syscall.RawConn, error)", "if $0.ok() && $0.fd.vitro != nil { return $0.fd.vitroSyscallConn() }"},

	{
		"setReadBuffer", "(*netFD, int) error",
		"if $1.vitro != nil { return $1.vitroSetBuffer(true, $2) }",
	},
	{
		"setWriteBuffer", "(*netFD, int) error",
		"if $1.vitro != nil { return $1.vitroSetBuffer(false, $2) }",
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
	"(*netFD).readMsg":          datagrams,
	"(*netFD).writeTo":          datagrams,
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
	datagrams = "is of multicast, raw IP or Unix, which stay with the kernel"
	raw       = "is of the kernel's RawConn, which none of ours gives"
	multipath = "isUsingMultipathTCP calls it"
)

// fieldOf is the type that gets a field.
const (
	fieldOf = "netFD"
	field   = "vitro *vitroFD;"
)
