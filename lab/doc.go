// Package lab is a network for tests of network programs: real TCP, on virtual time.
//
//	func TestFetch(t *testing.T) {
//		lab.Test(t, func(t *testing.T, n *lab.Net) {
//			n.Default(lab.Link{Delay: 20 * time.Millisecond, Loss: 0.01})
//			server, client := n.Host("server"), n.Host("client")
//			l, err := server.Listen("tcp", ":80")
//			...
//			go http.Serve(l, handler)
//			hc := &http.Client{Transport: &http.Transport{DialContext: client.DialContext}}
//			n.Rule(lab.First(2, lab.SYN).From("client").Drop())
//			resp, err := hc.Get("http://server/")
//		})
//	}
package lab
