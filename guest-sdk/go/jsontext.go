package turntable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"
)

// Marshal writes a value as JSON text in the form in which every SDK writes it: without spaces, and with no character escaped
// that need not be. Texts in journals of dialogs are compared in this form.
func Marshal(value any) (json.RawMessage, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, Invalid("%T cannot be written as JSON: %v", value, err)
	}
	return separators(bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))), nil
}

// separators writes U+2028 and U+2029 as themselves. Go always escapes them.
func separators(text []byte) []byte {
	if !bytes.Contains(text, []byte(`\u202`)) {
		return text
	}
	out := make([]byte, 0, len(text))
	for at := 0; at < len(text); at++ {
		if text[at] != '\\' || at+1 == len(text) {
			out = append(out, text[at])
			continue
		}
		switch rest := text[at:]; {
		case bytes.HasPrefix(rest, []byte(`\u2028`)):
			out, at = append(out, "\u2028"...), at+5
		case bytes.HasPrefix(rest, []byte(`\u2029`)):
			out, at = append(out, "\u2029"...), at+5
		default:
			out, at = append(out, text[at], text[at+1]), at+1
		}
	}
	return out
}

// As reads JSON text into a type of the author. Absent text and null give the zero value.
func As[T any](text json.RawMessage) (T, error) {
	var value T
	if len(text) == 0 {
		return value, nil
	}
	if err := json.Unmarshal(text, &value); err != nil {
		return value, Invalid("the value is not a %T: %v", value, err)
	}
	return value, nil
}

// hashed returns the 64-bit FNV-1a hash in hexadecimal. It detects that a text was edited; it protects against nothing.
func hashed(text []byte) string { return fmt.Sprintf("%016x", fnv(text)) }

func fnv(text []byte) uint64 {
	hash := uint64(0xcbf29ce484222325)
	for _, octet := range text {
		hash = (hash ^ uint64(octet)) * 0x100000001b3
	}
	return hash
}

// readMembers reads a JSON object into the tagged fields of a struct and returns all members that the struct cannot write
// back as they were: unknown ones, and known ones that are null or empty.
func readMembers(text []byte, target any) (map[string]json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	value := reflect.ValueOf(target).Elem()
	for index := range value.NumField() {
		name := memberName(value.Type().Field(index))
		member, found := members[name]
		if name == "" || !found {
			continue
		}
		field := value.Field(index)
		if err := json.Unmarshal(member, field.Addr().Interface()); err != nil {
			// The sender gave the member another type. It stays readable in More.
			field.SetZero()
		}
		if !isEmpty(field) && string(member) != "null" {
			delete(members, name)
		} else {
			field.SetZero()
		}
	}
	if len(members) == 0 {
		return nil, nil
	}
	return members, nil
}

// writeMembers writes the tagged fields of a struct that are not empty in their order, then the other members by name.
func writeMembers(source any, more map[string]json.RawMessage) ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	written := map[string]bool{}
	write := func(name string, member any) error {
		text, err := Marshal(member)
		if err != nil {
			return err
		}
		if len(written) > 0 {
			out.WriteByte(',')
		}
		written[name] = true
		key, _ := Marshal(name)
		out.Write(key)
		out.WriteByte(':')
		out.Write(text)
		return nil
	}
	value := reflect.ValueOf(source)
	for index := range value.NumField() {
		if name := memberName(value.Type().Field(index)); name != "" && !isEmpty(value.Field(index)) {
			if err := write(name, value.Field(index).Interface()); err != nil {
				return nil, err
			}
		}
	}
	names := make([]string, 0, len(more))
	for name := range more {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if !written[name] {
			if err := write(name, more[name]); err != nil {
				return nil, err
			}
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func memberName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return strings.TrimPrefix(name, "-")
}

func isEmpty(field reflect.Value) bool {
	if kind := field.Kind(); kind == reflect.Slice || kind == reflect.Map {
		return field.Len() == 0
	}
	return field.IsZero()
}
