module {{name}}

go 1.24

require turntable v0.0.0

replace turntable => ./turntable/guest-sdk/go
