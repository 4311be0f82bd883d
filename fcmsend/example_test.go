package fcmsend_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"penstock/fcm"
	"penstock/fcmsend"
)

func Example() {
	// In place of FCM. With real credentials and without Endpoint it would be
	// Google's.
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body := new(strings.Builder); r.Write(body) == nil && strings.Contains(body.String(), "gone") {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"code":404,"status":"NOT_FOUND","details":[
				{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}`)
			return
		}
		fmt.Fprint(w, `{"name":"projects/shop/messages/0:17"}`)
	}))
	defer srv.Close()

	sender, err := fcmsend.New("shop", fcmsend.Static("access-token"), &fcmsend.Options{Endpoint: srv.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sender.Close()
	for _, token := range []string{"token-of-a-device", "token-that-is-gone"} {
		m := &fcm.Message{Token: token, Data: map[string]string{"order": "4711"}}
		result, err := sender.Send(context.Background(), &fcm.SendRequest{Message: m})
		if err == nil {
			fmt.Println("accepted as", result.Name)
			continue
		}
		if e, ok := errors.AsType[*fcm.SendError](err); ok && e.Class == fcm.Unregistered {
			fmt.Println("the device is gone")
		}
	}
	// Output:
	// accepted as projects/shop/messages/0:17
	// the device is gone
}
