package tcp

// Rule names the sentence of a text that made the machine act: why a state changed, a
// segment was dropped, answered or sent again, a timer ran out. Its zero value is no rule.
type Rule uint8

// Clause returns where the sentence stands: "RFC 9293 3.10.7.4 fifth".
func (r Rule) Clause() string { return rules[r].clause }

// Sentence returns what it says, shortened: "our FIN is acknowledged".
func (r Rule) Sentence() string { return rules[r].sentence }

// String returns clause and sentence: "RFC 9293 3.10.7.4 fifth: our FIN is acknowledged".
func (r Rule) String() string { return rules[r].clause + ": " + rules[r].sentence }

type ruleText struct{ clause, sentence string }

// The rules, in the order of the text.
const (
	_ Rule = iota
	// Changes of state by user calls.
	RuleOpenPassive
	RuleOpenActive
	RuleOpenListen
	RuleSendListen
	RuleCloseListen
	RuleCloseSynSent
	RuleCloseSynReceived
	RuleCloseEstablished
	RuleCloseCloseWait
	RuleAbortUnsynchronized
	RuleAbort
	RuleAbortClosing
	RuleReclaim
	RuleUnreadText
	// Segments: TCP-AO.
	RuleAuthMissing
	RuleAuthKey
	RuleAuthLength
	RuleAuthBad
	RuleAuthUnknown
	// Segments: CLOSED, LISTEN, SYN-SENT.
	RuleClosed
	RuleClosedReset
	RuleListenReset
	RuleListenAck
	RuleListenSyn
	RuleFastOpenSyn
	RuleFastOpenCookie
	RuleFastOpenLimit
	RuleListenOther
	RuleSynSentAck
	RuleSynSentReset
	RuleSynSentResetNoAck
	RuleSynSentSynAck
	RuleSynSentSyn
	RuleSynSentCrossed
	RuleSynSentOther
	// Segments: the other states, step by step.
	RulePAWS
	RuleNoTimestamp
	RuleUnacceptable
	RuleTimeWaitFin
	RuleResetChallenge
	RuleResetPassive
	RuleFastOpenReset
	RuleResetRefused
	RuleReset
	RuleResetClosing
	RuleTimeWaitReset
	RuleSynPassive
	RuleMixedECN
	RuleSynChallenge
	RuleNoAck
	RuleSynReceivedAck
	RuleSynReceivedAcked
	RuleAckOutOfRange
	RuleFinWait1Acked
	RuleClosingAcked
	RuleLastAckAcked
	RuleClosingOther
	RuleTimeWaitOther
	RuleUrgentAfterFin
	RuleTextAfterFin
	RuleTooManySpans
	RuleNoMemory
	RuleFinEstablished
	RuleFinFinWait1
	RuleFinFinWait2
	// Timeouts and retransmissions.
	RuleUserTimeout
	RuleRetransmitTimeout
	RuleTimeWaitTimeout
	RuleFinWait2Timeout
	RuleZeroWindowProbe
	RuleOverride
	RuleWindowOpened
	RuleKeepAlive
	RuleKeepAliveDead
	RuleFastRetransmit
	RulePartialAck
	RuleRACK
	RuleTailLossProbe
	RuleFastOpenTimeout
	RuleFastOpenAgain
	// ICMP.
	RuleICMPHard
	RulePacketTooBig
	// The search for the path MTU.
	RuleBlackHole
	RuleMTUProbe
	RuleMTUProbePassed
	RuleMTUProbeLost
	RuleMTUProbeTimeout
	RuleMTUInconclusive
	RuleMTUComplete
	RuleMTURaise
	// The stack's, about segments that reach no connection.
	RuleNoConnection
	RuleMartian
	RuleNotOurs
	RuleBacklogFull
	RuleBadCookie
	RuleReopen
	RuleCookie
	RuleTimeWaitRecord
	RuleSourceRoute
	RuleLimited
	// NumRules is how many there are, for tables by Rule.
	NumRules
)

var rules = [NumRules]ruleText{
	0:                       {"no rule", "none"},
	RuleOpenPassive:         {"RFC 9293 3.10.1", "passive OPEN: enter LISTEN"},
	RuleOpenActive:          {"RFC 9293 3.10.1", "active OPEN: a SYN is sent, enter SYN-SENT"},
	RuleOpenListen:          {"RFC 9293 3.10.1 LISTEN", "active OPEN: change from passive to active"},
	RuleSendListen:          {"RFC 9293 3.10.2 LISTEN", "SEND: change from passive to active"},
	RuleCloseListen:         {"RFC 9293 3.10.4 LISTEN", "CLOSE: delete TCB"},
	RuleCloseSynSent:        {"RFC 9293 3.10.4 SYN-SENT", "CLOSE: delete TCB"},
	RuleCloseSynReceived:    {"RFC 9293 3.10.4 SYN-RECEIVED", "CLOSE with nothing to send: send a FIN, enter FIN-WAIT-1"},
	RuleCloseEstablished:    {"RFC 9293 3.10.4 ESTABLISHED", "CLOSE: a FIN follows what is queued, enter FIN-WAIT-1"},
	RuleCloseCloseWait:      {"RFC 9293 3.10.4 CLOSE-WAIT", "CLOSE: all is segmentized, send a FIN, enter LAST-ACK"},
	RuleAbortUnsynchronized: {"RFC 9293 3.10.5", "ABORT before a connection: delete TCB"},
	RuleAbort:               {"RFC 9293 3.10.5", "ABORT: send a reset, delete TCB"},
	RuleAbortClosing:        {"RFC 9293 3.10.5 CLOSING", "ABORT: delete TCB"},
	RuleReclaim:             {"RFC 9293 3.8.6.1", "no progress, and no memory left: subject to resource management"},
	RuleUnreadText:          {"RFC 9293 3.6.1", "text that nobody will read: send a RST to show that data was lost"},
	RuleAuthMissing:         {"RFC 5925 7.3", "keys are set, and there is no TCP-AO: silently discard"},
	RuleAuthKey:             {"RFC 5925 7.5 1", "no key has the KeyID: silently discard"},
	RuleAuthLength:          {"RFC 5925 7.5 2.a", "TCP-AO has not the length that the key says: silently discard"},
	RuleAuthBad:             {"RFC 5925 7.5 2.d", "the computed MAC differs: silently discard"},
	RuleAuthUnknown:         {"RFC 5925 7.3", "TCP-AO, and no key is for the sockets: discarded, as configured"},
	RuleClosed:              {"RFC 9293 3.10.7.1", "no connection: a RST is sent in response"},
	RuleClosedReset:         {"RFC 9293 3.10.7.1", "an incoming segment containing a RST is discarded"},
	RuleListenReset:         {"RFC 9293 3.10.7.2 first", "an incoming RST should be ignored"},
	RuleListenAck:           {"RFC 9293 3.10.7.2 second", "any acknowledgment is bad in LISTEN"},
	RuleListenSyn:           {"RFC 9293 3.10.7.2 third", "a SYN: send SYN,ACK, enter SYN-RECEIVED"},
	RuleFastOpenSyn:         {"RFC 7413 4.2.2", "a SYN with a valid cookie: its text is delivered, enter SYN-RECEIVED"},
	RuleFastOpenCookie:      {"RFC 7413 4.2.2", "text of a SYN without a valid cookie: acknowledge the SYN alone"},
	RuleFastOpenLimit:       {"RFC 7413 4.2.2", "PendingFastOpenRequests is over the limit: acknowledge the SYN alone"},
	RuleListenOther:         {"RFC 9293 3.10.7.2 fourth", "neither RST, ACK nor SYN: drop the segment"},
	RuleSynSentAck:          {"RFC 9293 3.10.7.3 first", "SEG.ACK =< ISS or SEG.ACK > SND.NXT: not an ACK of our SYN"},
	RuleSynSentReset:        {"RFC 9293 3.10.7.3 second", "a RST that acknowledges our SYN: enter CLOSED"},
	RuleSynSentResetNoAck:   {"RFC 9293 3.10.7.3 second", "a RST without ACK: drop the segment"},
	RuleSynSentSynAck:       {"RFC 9293 3.10.7.3 fourth", "our SYN has been ACKed: enter ESTABLISHED"},
	RuleSynSentSyn:          {"RFC 9293 3.10.7.3 fourth", "a SYN crossed ours: send SYN,ACK, enter SYN-RECEIVED"},
	RuleSynSentCrossed:      {"RFC 9293 3.5", "a SYN crossed ours, and the user wants no simultaneous open"},
	RuleSynSentOther:        {"RFC 9293 3.10.7.3 fifth", "neither SYN nor RST: drop the segment"},
	RulePAWS:                {"RFC 7323 5.3 R1", "SEG.TSval < TS.Recent: an old duplicate, not acceptable"},
	RuleNoTimestamp:         {"RFC 7323 3.2", "a segment without the negotiated timestamp: silently drop"},
	RuleUnacceptable:        {"RFC 9293 3.10.7.4 first", "not in the receive window: acknowledge and drop"},
	RuleTimeWaitFin:         {"RFC 9293 3.10.7.4 fifth", "the remote FIN again: acknowledge it, restart the 2 MSL timeout"},
	RuleResetChallenge:      {"RFC 9293 3.10.7.4 second", "a RST in the window but not at RCV.NXT: challenge ACK"},
	RuleResetPassive:        {"RFC 9293 3.10.7.4 second", "a RST after a passive OPEN: return to LISTEN"},
	RuleFastOpenReset:       {"RFC 7413 5.1", "a RST in SYN-RECEIVED, and the user has the text of the SYN: connection reset"},
	RuleResetRefused:        {"RFC 9293 3.10.7.4 second", "a RST after an active OPEN: connection refused"},
	RuleReset:               {"RFC 9293 3.10.7.4 second", "a RST at RCV.NXT: connection reset, enter CLOSED"},
	RuleResetClosing:        {"RFC 9293 3.10.7.4 second", "a RST while closing: enter CLOSED"},
	RuleTimeWaitReset:       {"RFC 1337 3 F1", "ignore RST segments in TIME-WAIT"},
	RuleSynPassive:          {"RFC 9293 3.10.7.4 fourth", "a SYN after a passive OPEN: return to LISTEN"},
	RuleMixedECN:            {"RFC 9768 3.1.5", "a SYN that asks for another kind of ECN than the one before: reset the connection"},
	RuleSynChallenge:        {"RFC 9293 3.10.7.4 fourth", "a SYN in a synchronized state: challenge ACK"},
	RuleNoAck:               {"RFC 9293 3.10.7.4 fifth", "the ACK bit is off: drop the segment"},
	RuleSynReceivedAck:      {"RFC 9293 3.10.7.4 fifth", "not an ACK of our SYN: send a reset"},
	RuleSynReceivedAcked:    {"RFC 9293 3.10.7.4 fifth", "our SYN is acknowledged: enter ESTABLISHED"},
	RuleAckOutOfRange:       {"RFC 9293 3.10.7.4 fifth", "SEG.ACK outside (SND.UNA - MAX.SND.WND) to SND.NXT: ACK and drop"},
	RuleFinWait1Acked:       {"RFC 9293 3.10.7.4 fifth", "our FIN is acknowledged: enter FIN-WAIT-2"},
	RuleClosingAcked:        {"RFC 9293 3.10.7.4 fifth", "our FIN is acknowledged: enter TIME-WAIT"},
	RuleLastAckAcked:        {"RFC 9293 3.10.7.4 fifth", "our FIN is acknowledged: delete the TCB, enter CLOSED"},
	RuleClosingOther:        {"RFC 9293 3.10.7.4 fifth", "not an ACK of our FIN: ignore the segment"},
	RuleTimeWaitOther:       {"RFC 9293 3.10.7.4 fifth", "only the remote FIN can arrive in TIME-WAIT: ignore the segment"},
	RuleUrgentAfterFin:      {"RFC 9293 3.10.7.4 sixth", "a FIN has been received: ignore the URG"},
	RuleTextAfterFin:        {"RFC 9293 3.10.7.4 seventh", "a FIN has been received: ignore the segment text"},
	RuleNoMemory:            {"RFC 9293 3.10.7.4 seventh", "no memory for the text: RCV.NXT advances over the data accepted"},
	RuleTooManySpans:        {"RFC 9293 3.10.7.4 first", "out of order, and there is no room to hold it (SHLD-31)"},
	RuleFinEstablished:      {"RFC 9293 3.10.7.4 eighth", "the peer's FIN: enter CLOSE-WAIT"},
	RuleFinFinWait1:         {"RFC 9293 3.10.7.4 eighth", "the peer's FIN, ours not yet acknowledged: enter CLOSING"},
	RuleFinFinWait2:         {"RFC 9293 3.10.7.4 eighth", "the peer's FIN: enter TIME-WAIT"},
	RuleUserTimeout:         {"RFC 9293 3.10.8", "user timeout: flush all queues, enter CLOSED"},
	RuleRetransmitTimeout:   {"RFC 9293 3.10.8", "retransmission timeout: send the front of the queue again"},
	RuleTimeWaitTimeout:     {"RFC 9293 3.10.8", "time-wait timeout (2 MSL): delete the TCB, enter CLOSED"},
	RuleFinWait2Timeout:     {"vitro", "FIN-WAIT-2 and nobody reads: give up waiting for the peer's FIN"},
	RuleZeroWindowProbe:     {"RFC 9293 3.8.6.1", "the window is closed: probe it"},
	RuleOverride:            {"RFC 9293 3.8.6.2.1 (4)", "the override timeout: send, however small"},
	RuleWindowOpened:        {"RFC 9293 3.8.6.1", "the window has opened: what was sent into it goes again"},
	RuleKeepAlive:           {"RFC 9293 3.8.4", "idle: a keep-alive probe"},
	RuleKeepAliveDead:       {"RFC 9293 3.8.4", "no answer to any keep-alive probe"},
	RuleFastRetransmit:      {"RFC 5681 3.2", "three duplicate ACKs: fast retransmit"},
	RuleRACK:                {"RFC 8985 6.2", "what was sent later has been delivered, and the reordering window has passed"},
	RuleTailLossProbe:       {"RFC 8985 7.3", "no ACK within PTO: a tail loss probe"},
	RuleFastOpenTimeout:     {"RFC 7413 4.2.2", "the SYN timer fires: again with neither data nor Fast Open options"},
	RuleFastOpenAgain:       {"RFC 7413 4.2.2", "what went with the SYN and is not acknowledged goes again"},
	RulePartialAck:          {"RFC 6582 3.2", "a partial ACK: the next segment is lost too"},
	RuleICMPHard:            {"RFC 9293 3.9.2.2", "a hard ICMP error before the connection is synchronized: abort"},
	RulePacketTooBig:        {"RFC 1191 6.4, RFC 8201 5.4", "the path takes smaller packets only: cut anew and send again"},
	RuleBlackHole:           {"RFC 4821 7.7", "what was sent whole vanished, and a small part of it has passed: an ICMP black hole"},
	RuleMTUProbe:            {"RFC 4821 7.5", "a probe packet of the probe size is sent"},
	RuleMTUProbePassed:      {"RFC 4821 7.6.1", "the probe is delivered: raise search_low and the path MTU to its size"},
	RuleMTUProbeLost:        {"RFC 4821 7.6.2", "only the probe is lost: no sign of congestion"},
	RuleMTUProbeTimeout:     {"RFC 4821 7.6.3", "a timeout: the probe is lost, and whether others are is not known"},
	RuleMTUInconclusive:     {"RFC 4821 7.6.4", "the probe is lost, and others with it: nothing is known"},
	RuleMTUComplete:         {"RFC 8899 5.2 SEARCH_COMPLETE", "no probe is worth its cost: rest for 10 minutes"},
	RuleMTURaise:            {"RFC 4821 7.3", "10 minutes have passed: search_high is reset, probing resumes"},
	RuleNoConnection:        {"RFC 9293 3.10.7.1", "no connection and no listener: a RST is sent in response"},
	RuleMartian:             {"RFC 9293 3.9.2.3", "an address that cannot be a host's: silently discard"},
	RuleNotOurs:             {"RFC 1122 3.2.1.3", "not addressed to this host: silently discard"},
	RuleBacklogFull:         {"RFC 4987 3", "the listener's queue is full: drop the SYN"},
	RuleBadCookie:           {"RFC 4987 3.6", "an ACK that carries no valid SYN cookie"},
	RuleReopen:              {"RFC 6191 2", "a SYN that may reopen a connection in TIME-WAIT"},
	RuleCookie:              {"RFC 4987 3.6", "an ACK brings a SYN cookie back: enter SYN-RECEIVED"},
	RuleTimeWaitRecord:      {"RFC 9293 3.6.1", "TIME-WAIT, kept as a record"},
	RuleSourceRoute:         {"RFC 7126 4.3", "a packet with a source route: drop it"},
	RuleLimited:             {"RFC 5961 7, RFC 1812 4.3.2.8", "enough answers have gone to that host: send none"},
}
