// gorilla/websocket: one goroutine reads each socket, one writes to all of them in turn.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

type asked struct {
	Text  string  `json:"text"`
	Waves int     `json:"waves"`
	Gap   float64 `json:"gap"`
}

var (
	lock    sync.Mutex
	sockets = map[*websocket.Conn]bool{}
)

func stay(answer http.ResponseWriter, request *http.Request) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	socket, err := upgrader.Upgrade(answer, request, nil)
	if err != nil {
		return
	}
	lock.Lock()
	sockets[socket] = true
	lock.Unlock()
	for {
		if _, _, err := socket.NextReader(); err != nil {
			break
		}
	}
	lock.Lock()
	delete(sockets, socket)
	lock.Unlock()
	socket.Close()
}

func push(wanted asked) {
	frame, due := []byte(wanted.Text), time.Now()
	for range make([]struct{}, wanted.Waves) {
		lock.Lock()
		for socket := range sockets {
			if err := socket.WriteMessage(websocket.TextMessage, frame); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
		lock.Unlock()
		due = due.Add(time.Duration(wanted.Gap * float64(time.Second)))
		time.Sleep(time.Until(due))
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	http.HandleFunc("/ws", stay)
	go http.Serve(listener, nil)
	fmt.Printf("{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var wanted asked
		if err := json.Unmarshal(lines.Bytes(), &wanted); err != nil {
			fmt.Printf("{\"error\": %q}\n", err.Error())
			continue
		}
		push(wanted)
		fmt.Println("{\"answer\": null}")
	}
}
