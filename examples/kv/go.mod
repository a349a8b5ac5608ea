module github.com/vitro-net/vitro/examples/kv

go 1.26.0

require github.com/vitro-net/vitro v0.0.0-00010101000000-000000000000

replace github.com/vitro-net/vitro => ../..
