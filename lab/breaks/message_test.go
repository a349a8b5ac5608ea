package breaks

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"
)

type order struct {
	Customer string
	Items    []int
}

func takeOrderBefore(c net.Conn) (o order, err error) {
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	if err != nil {
		return o, err
	}
	err = json.Unmarshal(buf[:n], &o)
	return o, err
}

// One Decoder for each connection: it may have read into the next message.
func takeOrderAfter(c net.Conn) (o order, err error) {
	err = json.NewDecoder(c).Decode(&o)
	return o, err
}

func TestReadIsNoMessage(t *testing.T) {
	ask := func(takeOrder func(net.Conn) (order, error)) func(*world) string {
		return func(w *world) string {
			client, server := w.connect("server")
			b, err := json.Marshal(order{"Ada", make([]int, 2000)})
			if err != nil {
				w.Fatal(err)
			}
			go client.Write(b)
			o, err := takeOrder(server)
			if err != nil {
				return "bad order: " + err.Error()
			}
			return fmt.Sprintf("an order of %d items", len(o.Items))
		}
	}
	example{
		title:  "A read is not a message",
		before: ask(takeOrderBefore), after: ask(takeOrderAfter),
		wants: "an order of 2000 items",
	}.show(t)
}
