// Writes and reads files with pyrecordio's Go package, for comparison with src/record.
//
//	golden write FOLDER    writes the golden files
//	golden read FILE...    checks that each holds the golden records, as src/record wrote them
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/wangkuiyi/recordio"
)

const numRecords = 60

func goldenRecord(i int) []byte {
	record := make([]byte, i*i*3%200)
	for j := range record {
		record[j] = byte(i*7 + j/(i%5+1)*31)
	}
	return record
}

func largeRecord() []byte {
	record := make([]byte, 150000)
	for j := range record {
		record[j] = byte(j % 250)
	}
	return record
}

func recordsOf(name string) [][]byte {
	if strings.Contains(name, "large") {
		return [][]byte{largeRecord(), goldenRecord(3)}
	}
	var records [][]byte
	for i := 0; i < numRecords; i++ {
		records = append(records, goldenRecord(i))
	}
	return records
}

func check(e error) {
	if e != nil {
		fmt.Fprintln(os.Stderr, e)
		os.Exit(1)
	}
}

func write(path string, chunkBytes, compressor int) {
	file, e := os.Create(path)
	check(e)
	writer := recordio.NewWriter(file, chunkBytes, compressor)
	for _, record := range recordsOf(path) {
		_, e := writer.Write(record)
		check(e)
	}
	check(writer.Close())
}

func read(path string) {
	file, e := os.Open(path)
	check(e)
	defer file.Close()
	index, e := recordio.LoadIndex(file)
	check(e)
	want := recordsOf(filepath.Base(path))
	if index.NumRecords() != len(want) {
		check(fmt.Errorf("%s: %d records, want %d", path, index.NumRecords(), len(want)))
	}
	// All of it, and a range in the middle of a chunk.
	for _, begin := range []int{0, len(want) / 2} {
		scanner := recordio.NewScanner(file, index, begin, -1)
		at := begin
		for ; scanner.Scan(); at++ {
			if !bytes.Equal(scanner.Record(), want[at]) {
				check(fmt.Errorf("%s: record %d differs", path, at))
			}
		}
		if at != len(want) {
			check(fmt.Errorf("%s: ends after %d records: %v", path, at, scanner.Error()))
		}
	}
	fmt.Printf("%s: %d records in %d chunks agree\n", path, len(want), index.NumChunks())
}

// pyrecordio writes chunks that are packed by gzip but cannot read any, not even its own: it asks for
// the packed bytes before it starts the goroutine that provides them, and waits forever. So these
// are read here, by Go's own gzip.
func readGzip(path string) {
	file, e := os.ReadFile(path)
	check(e)
	want := recordsOf(filepath.Base(path))
	at, chunks := 0, 0
	for ; len(file) > 0; chunks++ {
		size := binary.LittleEndian.Uint32(file[12:])
		payload := file[20 : 20+size]
		if crc32.ChecksumIEEE(payload) != binary.LittleEndian.Uint32(file[4:]) {
			check(fmt.Errorf("%s: checksum of chunk %d", path, chunks))
		}
		unpacker, e := gzip.NewReader(bytes.NewReader(payload))
		check(e)
		records, e := io.ReadAll(unpacker)
		check(e)
		for n := binary.LittleEndian.Uint32(file[16:]); n > 0; n-- {
			length := binary.LittleEndian.Uint32(records)
			if !bytes.Equal(records[4:4+length], want[at]) {
				check(fmt.Errorf("%s: record %d differs", path, at))
			}
			records = records[4+length:]
			at++
		}
		if len(records) > 0 {
			check(fmt.Errorf("%s: more bytes than records in chunk %d", path, chunks))
		}
		file = file[20+size:]
	}
	if at != len(want) {
		check(fmt.Errorf("%s: %d records, want %d", path, at, len(want)))
	}
	fmt.Printf("%s: %d records in %d chunks agree (by Go's gzip)\n", path, at, chunks)
}

func main() {
	if len(os.Args) < 3 {
		check(fmt.Errorf("usage: golden write FOLDER | golden read FILE..."))
	}
	if os.Args[1] == "write" {
		write(filepath.Join(os.Args[2], "none.recordio"), 1000, recordio.NoCompression)
		write(filepath.Join(os.Args[2], "snappy.recordio"), 1000, recordio.Snappy)
		write(filepath.Join(os.Args[2], "gzip.recordio"), 1000, recordio.Gzip)
		write(filepath.Join(os.Args[2], "large-snappy.recordio"), -1, -1)
		write(filepath.Join(os.Args[2], "large-gzip.recordio"), -1, recordio.Gzip)
		return
	}
	for _, path := range os.Args[2:] {
		if strings.Contains(path, "gzip") {
			readGzip(path)
		} else {
			read(path)
		}
	}
}
