module github.com/vitro-net/vitro/judges

go 1.26.0

require (
	github.com/vitro-net/vitro v0.0.0-00010101000000-000000000000
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.50.0
)

replace github.com/vitro-net/vitro => ..
