// Events of TensorBoard: what one record of its files says.
//
// Reference: tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto; plugins/hparams/plugin_data.proto
// and api.proto of TensorBoard 2.21.

import Foundation
import TuttiFormats
import TuttiGround

/// One event: a time, a step, and values under tags.
struct TensorBoardEvent {
    /// Optimizer step.
    let step: Int
    /// Each value of the summary, under its tag.
    private var values: [ProtobufWriter] = []

    /// An event of optimizer step `step`, without values.
    init(step: Int) { self.step = step }

    /// Adds a number.
    mutating func add(_ tag: String, _ number: Double) {
        values.append(
            ProtobufWriter {
                $0.add(1, tag)
                $0.add(2, Float(number))
            })
    }

    /// Adds how `numbers`, at least one, are distributed: ten intervals of equal width, one where all are equal.
    mutating func add(_ tag: String, histogramOf numbers: [Double]) {
        let (least, most) = (numbers.min() ?? 0, numbers.max() ?? 0)
        let intervals = most > least ? 10 : 1
        var counts = [Double](repeating: 0, count: intervals)
        for number in numbers {
            let place = most > least ? Int((number - least) / (most - least) * Double(intervals)) : 0
            counts[min(place, intervals - 1)] += 1
        }
        values.append(
            ProtobufWriter {
                $0.add(1, tag)
                $0.add(5) { histogram in
                    histogram.add(1, least)
                    histogram.add(2, most)
                    histogram.add(3, Double(numbers.count))
                    histogram.add(4, numbers.reduce(0, +))
                    histogram.add(5, numbers.reduce(0) { $0 + $1 * $1 })
                    for place in 1..<intervals {
                        histogram.add(6, least + (most - least) * Double(place) / Double(intervals))
                    }
                    histogram.add(6, most)
                    for count in counts { histogram.add(7, count) }
                }
            })
    }

    /// Adds text in Markdown.
    mutating func add(_ tag: String, markdown text: String) {
        values.append(
            ProtobufWriter {
                $0.add(1, tag + "/text_summary")
                $0.add(8) { tensor in
                    tensor.add(1, 7)  // strings
                    tensor.add(2) { $0.add(2) { $0.add(1, 1) } }
                    tensor.add(8, text)
                }
                $0.add(9) { $0.add(1) { $0.add(1, "text") } }
            })
    }

    /// Adds a part of the plugin for hyper-parameters: field `field` of its data.
    mutating func add(hyperparameters tag: String, _ field: Int, _ body: (inout ProtobufWriter) -> Void) {
        let content = ProtobufWriter { $0.add(field, message: body) }
        values.append(
            ProtobufWriter {
                $0.add(1, "_hparams_/" + tag)
                $0.add(9) {
                    $0.add(1) {
                        $0.add(1, "hparams")
                        $0.add(2, bytes: content.bytes)
                    }
                }
            })
    }

    /// Its record, written at `time`, in seconds since 1970.
    func record(_ time: Double) -> [UInt8] {
        let event = ProtobufWriter { event in
            event.add(1, time)
            event.add(2, step)
            event.add(5) { summary in
                for value in values { summary.add(1, bytes: value.bytes) }
            }
        }
        return RecordFile.record(event.bytes)
    }

    /// The record that a file begins with.
    static func head(_ time: Double) -> [UInt8] {
        RecordFile.record(
            ProtobufWriter {
                $0.add(1, time)
                $0.add(3, "brain.Event:2")
                $0.add(10) { $0.add(1, "tutti") }
            }.bytes)
    }

    /// Step and tags of the event in `file[range]`.
    ///
    /// Throws: `.data` for one that is damaged.
    static func read(_ file: [UInt8], _ range: Range<Int>, source: String) throws(TuttiError) -> (
        step: Int, tags: Set<String>
    ) {
        var (step, tags) = (0, Set<String>())
        var event = ProtobufReader(file, range, source: source)
        while let (field, value) = try event.next() {
            switch (field, value) {
            case (2, .varint(let number)): step = Int(truncatingIfNeeded: number)
            case (5, .bytes(let summary)):
                var values = ProtobufReader(file, summary, source: source)
                while case (1, .bytes(let part))? = try values.next() {
                    var members = ProtobufReader(file, part, source: source)
                    while let (field, value) = try members.next() {
                        guard field == 1, case .bytes(let name) = value else { continue }
                        tags.insert(String(decoding: file[name], as: UTF8.self))
                    }
                }
            default: break
            }
        }
        return (step, tags)
    }
}
