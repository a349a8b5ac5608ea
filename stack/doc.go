// Package stack is many connections: what stands between [tcp.Conn], one connection, and the
// links that carry packets. It demultiplexes, listens, chooses addresses and ports, answers
// ICMP, remembers TIME-WAIT and the path's MTU, forwards, and keeps the timers. It has UDP
// sockets and sends echo requests too, for which there is no machine to hold.
//
// Like the machine it holds it does no I/O, reads no clock, starts no goroutine and takes no
// lock. Whoever owns a Stack brings all of them, and calls every method of it, of its Conns
// and of its Listeners under one lock:
//
//	s.Arrive(now, iface, &packet)       // for each packet that has come
//	for more := true; more; {           // and after that, and after every other call,
//		more = s.Output(now, batch)     // take what is to be sent,
//		send(batch)                     // and send it, best without the lock
//		batch.Reset()
//	}
//	wake(s.Deadline())                  // s.Timeout(now) is due then
//
// Equal calls give equal packets: secrets and seeds come by [Config], and no map is iterated
// for output.
package stack
