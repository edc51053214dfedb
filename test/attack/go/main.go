// Reads requests as Go's encoding/json does: names in any case, the last of several, nothing said about what it does not know. A
// request a line, in base64; what was read a line, as JSON, until the input ends.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
)

type part struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type content struct{ length int }

func (c *content) UnmarshalJSON(text []byte) error {
	var said string
	if json.Unmarshal(text, &said) == nil {
		c.length = len(said)
		return nil
	}
	var parts []part
	if err := json.Unmarshal(text, &parts); err != nil {
		return err
	}
	c.length = 0
	for _, one := range parts {
		c.length += len(one.Text)
	}
	return nil
}

type request struct {
	Model    string `json:"model"`
	Messages []struct {
		Role    string  `json:"role"`
		Content content `json:"content"`
	} `json:"messages"`
	MaxTokens           *int   `json:"max_tokens"`
	MaxCompletionTokens *int   `json:"max_completion_tokens"`
	N                   *int   `json:"n"`
	Stream              bool   `json:"stream"`
	ServiceTier         string `json:"service_tier"`
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	answer := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		text := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
		count, _ := base64.StdEncoding.Decode(text, line)
		var one request
		if err := json.Unmarshal(text[:count], &one); err != nil {
			answer.Encode(map[string]any{"error": err.Error()})
			continue
		}
		bytes := 0
		for _, message := range one.Messages {
			bytes += message.Content.length
		}
		answer.Encode(map[string]any{
			"model": one.Model, "maxTokens": one.MaxTokens, "maxCompletionTokens": one.MaxCompletionTokens, "n": one.N,
			"stream": one.Stream, "tier": one.ServiceTier, "bytes": bytes,
		})
	}
}
