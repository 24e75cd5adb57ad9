// The chat's service. It speaks HTTP only: hydrogen calls it when a client connects, speaks or leaves, and it calls
// hydrogen back, at the base URL in the field `callback`: "to alice", "to the room".
//
// It keeps no state. /authorize says who a client is and which channels it is in; hydrogen knows the rest. So any number
// of copies may run, each may be restarted at any time, and none needs to know who is connected, or where.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// call is one request of hydrogen's: the body, and what matters of the headers.
type call struct {
	ConnectionID string      `json:"connection_id"`
	User         string      `json:"user"`
	Query        [][2]string `json:"query"` // of the authorizer: [["name", "alice"]]
	Message      string      `json:"message"`
	Callback     string      `json:"callback"`

	messageID string
}

// A key of `spec.signing` of the group, `whsec_...`. With it, only requests that hydrogen has signed are taken.
var signingKey = os.Getenv("SIGNING_KEY")

// Whoever reaches this service could name any URL. So one that is not signed is called on these hosts alone.
var callbackHosts = strings.Split(envOr("CALLBACK_HOSTS", "localhost,127.0.0.1"), ",")

// The token of `management.tokens`: without one, users and channels are reached on this machine alone.
var token = os.Getenv("TOKEN")

func envOr(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// Standard Webhooks: an HMAC of id, time and body. https://www.standardwebhooks.com has libraries that do this.
func isSigned(headers http.Header, body []byte) bool {
	seconds, err := strconv.ParseInt(headers.Get("webhook-timestamp"), 10, 64)
	if err != nil || math.Abs(float64(time.Now().Unix()-seconds)) > 300 {
		return false // an old request that somebody repeats
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signingKey, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", headers.Get("webhook-id"), seconds, body)
	expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return slices.ContainsFunc(strings.Fields(headers.Get("webhook-signature")), func(given string) bool {
		return hmac.Equal([]byte(given), []byte(expected))
	})
}

func isTrusted(callback string) bool {
	parsed, err := url.Parse(callback)
	return err == nil && (callback == "" || signingKey != "" || slices.Contains(callbackHosts, parsed.Hostname()))
}

var validName = regexp.MustCompile(`^\w{1,20}$`)

// Asked before the upgrade: ws://.../chat?name=alice. The user comes back with every later request.
func authorize(c call) (int, string, error) {
	var user string
	for _, parameter := range c.Query {
		if parameter[0] == "name" {
			user = parameter[1]
		}
	}
	if !validName.MatchString(user) {
		return http.StatusForbidden, "", nil
	}
	answer, err := json.Marshal(map[string]any{"user": user, "channels": []string{"room"}})
	return http.StatusOK, string(answer), err
}

// The connection is about to open. What is sent to it from in here arrives once it is open.
func connected(c call) (int, string, error) {
	if _, err := post(c.connection()+"/_send", "Welcome "+c.User+"! Try /help.", ""); err != nil {
		return 0, "", err
	}
	return toRoom(c, "* "+c.User+" joined")
}

func disconnected(c call) (int, string, error) { return toRoom(c, "* "+c.User+" left") }

func messages(c call) (int, string, error) { return toRoom(c, c.User+": "+c.Message) }

// The rule has `reply: true`: what is answered here goes to the client that asked.
func commands(c call) (int, string, error) {
	words := append(strings.SplitN(strings.TrimSpace(c.Message), " ", 3), "", "")
	switch whom, text := words[1], words[2]; words[0] {
	case "/who":
		return http.StatusOK, fmt.Sprintf("You are %s, on connection %s.", c.User, c.ConnectionID), nil
	case "/to":
		to := c.Callback + "/users/_send?user=" + url.QueryEscape(whom)
		if sent, err := post(to, c.User+" to you: "+text, c.messageID); err != nil || sent == 0 {
			return http.StatusOK, whom + " is not here.", err
		}
		return http.StatusOK, "To " + whom + ": " + text, nil
	case "/quit":
		_, err := post(c.connection()+"/_disconnect?code=1000", "Bye!", "")
		return http.StatusOK, "", err
	default:
		return http.StatusOK, "Commands: /who, /to NAME TEXT, /quit, /help. Anything else goes to the room.", nil
	}
}

func (c call) connection() string { return c.Callback + "/connections/" + c.ConnectionID }

// Delivery is at least once, always under the same id. With that as the key, hydrogen sends it to nobody twice.
func toRoom(c call, text string) (int, string, error) {
	_, err := post(c.Callback+"/channels/room/_send", text, c.messageID)
	return http.StatusOK, "", err
}

var client = http.Client{Timeout: 5 * time.Second}

// post returns how many connections got it. A client that is gone (410) is nobody's failure; any other refusal is, and
// makes hydrogen try again later.
func post(url, text, key string) (int, error) {
	request, err := http.NewRequest("POST", url, strings.NewReader(text))
	if err != nil {
		return 0, err
	}
	if token != "" {
		request.Header.Set("authorization", "Bearer "+token)
	}
	if key != "" {
		request.Header.Set("idempotency-key", key)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 && response.StatusCode != http.StatusGone {
		return 0, fmt.Errorf("%s: %s", url, response.Status)
	}
	var counts struct{ Sent int }
	json.NewDecoder(response.Body).Decode(&counts) // other answers have no counts
	return counts.Sent, nil
}

func handle(path string, route func(call) (int, string, error)) {
	http.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || signingKey != "" && !isSigned(r.Header, body) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var c call
		if err := json.Unmarshal(body, &c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if !isTrusted(c.Callback) {
			log.Printf("%s is neither signed nor among CALLBACK_HOSTS", c.Callback)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		c.messageID = r.Header.Get("hydrogen-message-id")
		status, text, err := route(c)
		if err != nil {
			log.Print(err)
			status, text = http.StatusServiceUnavailable, "" // a message is delivered again, a connecting client is refused
		}
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	})
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "9000"
	}
	handle("/authorize", authorize)
	handle("/connected", connected)
	handle("/disconnected", disconnected)
	handle("/messages", messages)
	handle("/commands", commands)
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("chat: listening on port %s", port)
	log.Fatal(http.Serve(listener, nil))
}
