module penstock-interop/legacy-go

go 1.26

require github.com/appleboy/go-fcm v0.1.5
