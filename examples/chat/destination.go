// The chat's service. It speaks HTTP only: hydrogen calls it when a client connects, speaks or leaves, and it calls
// hydrogen back, at the base URL in the field `callback`, to send to one client or to all.
//
// It keeps no state. Who is asking comes with each request (the context that /authorize gave), so any number of
// copies may run, each may be restarted at any time, and none needs to know which gateway holds a client.
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
	"sync"
	"time"
)

// call is one request of hydrogen's: the body, and what matters of the headers.
type call struct {
	ConnectionID string      `json:"connection_id"`
	Query        [][2]string `json:"query"` // of the authorizer: [["name", "alice"]]
	Message      string      `json:"message"`
	Callback     string      `json:"callback"`
	Context      struct {
		Authorizer struct {
			Name string `json:"name"`
		} `json:"authorizer"`
	} `json:"context"`

	name, callback, messageID string
}

// A key of `spec.signing` of the group, `whsec_...`. With it, only requests that hydrogen has signed are taken.
var signingKey = os.Getenv("SIGNING_KEY")

// Whoever reaches this service could name any URL. So one that is not signed is called on these hosts alone.
var callbackHosts = strings.Split(envOr("CALLBACK_HOSTS", "localhost,127.0.0.1"), ",")

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

// Asked before the upgrade: ws://.../chat?name=alice. The context returns with every later request.
func authorize(c call) (int, string, error) {
	var name string
	for _, parameter := range c.Query {
		if parameter[0] == "name" {
			name = parameter[1]
		}
	}
	if !validName.MatchString(name) {
		return http.StatusForbidden, "", nil
	}
	answer, err := json.Marshal(map[string]any{"context": map[string]string{"name": name}})
	return http.StatusOK, string(answer), err
}

// The connection is about to open. What is sent to it from in here arrives once it is open.
func connected(c call) (int, string, error) {
	if err := post(c.connection()+"/_send", "Welcome "+c.name+"! Try /help."); err != nil {
		return 0, "", err
	}
	return http.StatusOK, "", broadcast(c, "* "+c.name+" joined")
}

func disconnected(c call) (int, string, error) {
	return http.StatusOK, "", broadcast(c, "* "+c.name+" left")
}

func messages(c call) (int, string, error) {
	if said.has(c.messageID) {
		return http.StatusOK, "", nil
	}
	if err := broadcast(c, c.name+": "+c.Message); err != nil {
		return 0, "", err // not marked as said: the next attempt must say it
	}
	said.add(c.messageID)
	return http.StatusOK, "", nil
}

// Delivery is at least once: a message may come again, under the same id, when our answer to it was lost. These ids
// spare the room most repetitions. They are a convenience, bounded and gone with the process; what must never happen
// twice belongs in a database, under a unique key on the message id.
var said = recent{ids: map[string]bool{}}

const saidMax = 10_000

type recent struct {
	sync.Mutex
	ids   map[string]bool
	order []string
}

func (r *recent) has(id string) bool {
	r.Lock()
	defer r.Unlock()
	return r.ids[id]
}

func (r *recent) add(id string) {
	r.Lock()
	defer r.Unlock()
	r.ids[id] = true
	if r.order = append(r.order, id); len(r.order) > saidMax {
		delete(r.ids, r.order[0])
		r.order = r.order[1:]
	}
}

// The rule has `reply: true`: what is answered here goes to the client that asked.
func commands(c call) (int, string, error) {
	switch strings.TrimSpace(c.Message) {
	case "/who":
		return http.StatusOK, fmt.Sprintf("You are %s, on connection %s.", c.name, c.ConnectionID), nil
	case "/quit":
		return http.StatusOK, "", post(c.connection()+"/_disconnect?code=1000", "Bye!")
	default:
		return http.StatusOK, "Commands: /who, /quit, /help. Anything else goes to the room.", nil
	}
}

func (c call) connection() string { return c.callback + "/connections/" + c.ConnectionID }

func broadcast(c call, text string) error {
	return post(c.callback+"/connections/_broadcast?endpoints[]=/chat", text)
}

var client = http.Client{Timeout: 5 * time.Second}

// A client that is gone (410) is nobody's failure; any other refusal is, and makes hydrogen try again later.
func post(url, text string) error {
	response, err := client.Post(url, "text/plain", strings.NewReader(text))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 && response.StatusCode != http.StatusGone {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
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
		c.name = c.Context.Authorizer.Name
		c.callback, c.messageID = c.Callback, r.Header.Get("hydrogen-message-id")
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
