package breaks

import (
	"bufio"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/vitro-net/vitro/lab"
)

// payBefore tries three times. The bank pays each number once.
func payBefore(amount int, ask func(string) error) (err error) {
	for range 3 {
		number := newNumber()
		if err = ask(fmt.Sprintln("pay", number, amount)); err == nil {
			break
		}
	}
	return err
}

func payAfter(amount int, ask func(string) error) (err error) {
	number := newNumber()
	for range 3 {
		if err = ask(fmt.Sprintln("pay", number, amount)); err == nil {
			break
		}
	}
	return err
}

var newNumber = func() func() int {
	n := 0
	return func() int { n++; return n }
}()

// request asks once, and waits two seconds for the answer.
func request(ctx context.Context, dial dialer, line string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := dial(ctx, "server")
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Write([]byte(line)); err != nil {
		return err
	}
	_, err = bufio.NewReader(c).ReadString('\n')
	return err
}

func TestTimeoutIsNoRefusal(t *testing.T) {
	buy := func(pay func(int, func(string) error) error) func(*world) string {
		return func(w *world) string {
			l := w.listen("server")
			left, paid := 1000, map[int]bool{}
			go func() {
				for first := true; ; first = false {
					c, err := l.Accept()
					if err != nil {
						return
					}
					if first && w.lab == nil {
						c.Close()
						continue
					}
					var number, amount int
					fmt.Fscanln(c, new(string), &number, &amount)
					if !paid[number] {
						paid[number] = true
						left -= amount
					}
					fmt.Fprintln(c, "paid")
					c.Close()
				}
			}()
			if w.lab != nil {
				answers := w.lab.Rule(lab.Text.From("server").Drop())
				time.AfterFunc(3*time.Second, answers.Remove)
			}
			err := pay(100, func(line string) error { return request(w.Context(), w.dial, line) })
			if err != nil {
				return plain(err)
			}
			return fmt.Sprintf("paid 100, and of 1000 are left %d", left)
		}
	}
	example{
		title:  "A timeout does not say that nothing was done",
		before: buy(payBefore), after: buy(payAfter),
		wants: "paid 100, and of 1000 are left 900",
	}.show(t)
}
