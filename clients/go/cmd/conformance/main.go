// The conformance program: `conformance TARGET`, tasks on standard input, one JSON line for each on standard output. What it is
// told and what it prints is described in ../../../conformance/README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"time"

	lettagrpc "github.com/letta-grpc/letta-grpc-go"
)

const key = "conformance-key"

// A task's line holds what is said.
const maxLineBytes = 1 << 20

func main() {
	// As patient as by default, and quicker.
	quick := lettagrpc.DefaultRetry
	quick.Initial, quick.Maximum = 10*time.Millisecond, 50*time.Millisecond
	patient := lettagrpc.DefaultRetry
	patient.Initial, patient.Maximum = 50*time.Millisecond, 500*time.Millisecond
	patient.StreamAttempts, patient.CallAttempts = 1000, 1000
	clients := map[bool]*lettagrpc.Client{false: connect(quick), true: connect(patient)}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLineBytes)
	printed := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		task := task{Text: "hello"}
		if err := json.Unmarshal(lines.Bytes(), &task); err != nil {
			log.Fatal(err)
		}
		if err := printed.Encode(perform(context.Background(), clients[task.Patient], task)); err != nil {
			log.Fatal(err)
		}
	}
}

func connect(retry lettagrpc.RetryPolicy) *lettagrpc.Client {
	client, err := lettagrpc.NewClient(os.Args[1], lettagrpc.WithAPIKey(key), lettagrpc.WithRetry(retry))
	if err != nil {
		log.Fatal(err)
	}
	return client
}

// perform does what the task says and returns what was seen.
func perform(ctx context.Context, client *lettagrpc.Client, task task) result {
	if task.Do == "deadline" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
	}
	stream := open(ctx, client, task)
	defer stream.Close()
	seen := follow(ctx, stream, task.Do)
	if task.answers() && seen.run != nil {
		answering := client.Answer(ctx, seen.run, task.answer(seen.Pending), task.view())
		defer answering.Close()
		pending := seen.Pending
		seen = follow(ctx, answering, "stream")
		seen.Pending = pending
	}
	return seen
}

func open(ctx context.Context, client *lettagrpc.Client, task task) *lettagrpc.Stream {
	if task.Do == "attach" {
		return client.Attach(ctx, task.RunID, task.After, task.view())
	}
	return client.Stream(ctx, task.Case, task.Text, task.view())
}

// follow reads a stream as far as the action goes.
func follow(ctx context.Context, stream *lettagrpc.Stream, action string) result {
	seen := result{Events: []int32{}, Pending: []string{}}
	err := read(ctx, stream, action, &seen)
	if err == nil && action != "close" {
		seen.run, err = stream.Final()
	}
	seen.Text = stream.SoFar().Text()
	for _, action := range stream.SoFar().PendingActions() {
		seen.Pending = append(seen.Pending, action.GetToolCallId())
	}
	if seen.run != nil {
		seen.State = stateOf(seen.run)
		seen.Error = errorOfRun(seen.run)
	}
	var failure *lettagrpc.Error
	if errors.As(err, &failure) {
		seen.Error = errorOfCall(failure)
	} else if err != nil {
		log.Fatal(err)
	}
	return seen
}

func read(ctx context.Context, stream *lettagrpc.Stream, action string, seen *result) error {
	for event, err := range stream.Events() {
		if err != nil {
			return err
		}
		seen.Events = append(seen.Events, event.GetSequenceNumber())
		switch {
		case event.GetTextDelta() == nil:
		case action == "cancel":
			if _, err := stream.Cancel(ctx); err != nil {
				return err
			}
		case action == "close":
			stream.Close()
		}
	}
	return nil
}
