module flixtube/workshop

go 1.26.0

require (
	flixtube/chassis v0.0.0
	github.com/chromedp/chromedp v0.22.1
	github.com/yuin/goldmark v1.8.7
)

require (
	github.com/chromedp/cdproto v0.159.0 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/rabbitmq/amqp091-go v1.16.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
)

replace flixtube/chassis => ../chassis
