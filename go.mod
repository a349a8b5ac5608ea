module github.com/vitro-net/vitro

go 1.26
