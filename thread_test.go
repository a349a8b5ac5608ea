package vitro_test

import (
	"io"
	"testing"

	"github.com/vitro-net/vitro"
)

func TestThread(t *testing.T) {
	a, b := pair(t, vitro.Config{})
	c, s := connect(t, a, b)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(s)
	if string(got) != "hello" || err != nil {
		t.Fatalf("read %q, %v", got, err)
	}
}
