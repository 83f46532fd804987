module runnel.dev/bench/x

go 1.19

require (
	golang.org/x/sync v0.3.0
	golang.org/x/time v0.3.0
)
