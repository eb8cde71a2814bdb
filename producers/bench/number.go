package bench

import (
	"fmt"
	"strconv"
	"time"
)

// Number is a figure with three decimals, as a whole number of thousandths: what a bench tells is read, compared and
// printed, and needs no more.
type Number int64

// Per is a figure per so many: a over b. Of nothing there is none: zero.
func Per(a, b int64) Number {
	if b == 0 {
		return 0
	}
	whole, rest := a/b, a%b
	return Number(whole*thousand + rest*thousand/b)
}

const thousand = 1000

// Rate is how many a second.
func Rate(count int64, in time.Duration) Number {
	micros := in.Microseconds()
	if micros <= 0 {
		return 0
	}
	const second = int64(time.Second / time.Microsecond)
	whole, rest := count/micros, count%micros // neither product overflows below some 10^12
	return Number((whole*second + rest*second/micros) * thousand)
}

// Micros is so much time of each item, in microseconds.
func Micros(d time.Duration, items int64) Number { return Per(d.Nanoseconds()/thousand, items) }

// Millis is a time in milliseconds.
func Millis(d time.Duration) Number { return Number(d.Microseconds()) }

// Seconds is a time in seconds.
func Seconds(d time.Duration) Number { return Number(d.Milliseconds()) }

// Whole is the figure without its decimals.
func (n Number) Whole() int64 { return int64(n) / thousand }

// String is the figure in decimal.
func (n Number) String() string {
	sign, v := "", int64(n)
	if v < 0 {
		sign, v = "-", -v
	}
	return fmt.Sprintf("%s%d.%03d", sign, v/thousand, v%thousand)
}

// Short is the figure with as many digits as one reads: all of the whole, and decimals only below a hundred.
func (n Number) Short() string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	switch {
	case n >= 100*thousand || n%thousand == 0:
		return sign + strconv.FormatInt((int64(n)+thousand/2)/thousand, 10)
	case n >= 10*thousand:
		return fmt.Sprintf("%s%d.%d", sign, n/thousand, n%thousand/100)
	}
	return fmt.Sprintf("%s%d.%02d", sign, n/thousand, n%thousand/10)
}

// MarshalJSON writes it as a JSON number.
func (n Number) MarshalJSON() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalJSON reads a JSON number.
func (n *Number) UnmarshalJSON(text []byte) error {
	d, err := time.ParseDuration(string(text) + "us") // three decimals of a microsecond
	if err != nil {
		return fmt.Errorf("%s is no figure: %w", text, err)
	}
	*n = Number(d)
	return nil
}
