// Package lettagrpc is the Go client of letta_grpc: it starts an agent's runs and follows their events, each exactly once and in
// order, across broken connections and restarted servers.
//
//	client, err := lettagrpc.NewClient("127.0.0.1:50051")
//	…
//	stream := client.Stream(ctx, agentID, "Hello!")
//	defer stream.Close()
//	for event, err := range stream.Events() {
//		if err != nil {
//			return err
//		}
//		fmt.Print(event.GetTextDelta().GetText())
//	}
//
// A run belongs to the server, not to the stream: a stream that is closed, or whose context ends, leaves the run at work, and
// [Client.Attach] goes on behind any number. [Stream.Cancel] ends the run.
//
// Messages and services are those of package lettapb, which is generated from the contract.
package lettagrpc
