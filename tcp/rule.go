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

var rules = [256]ruleText{0: {"no rule", "none"}}
