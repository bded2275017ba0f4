// A Parquet file as rows of JSON values: what pyarrow, pandas, polars, duckdb, Spark and `datasets` write.
//
// Columns of texts, numbers, booleans and lists of them, with absent values; all encodings but the deprecated BIT_PACKED
// and ALP, pages of both versions; no compression, snappy, gzip, zstd, lz4. Only the columns in use are read, one page
// of each at a time.
// Reference: apache/parquet-format, parquet.thrift, Encodings.md, LogicalTypes.md.

import TuttiGround

/// Rows of a file that stores columns.
package protocol ColumnarRows {
    /// Puts the cells of the next row into `cells`; false at the end.
    mutating func next(_ cells: inout [JSONValue]) throws(TuttiError) -> Bool
}

/// A Parquet file.
package struct ParquetFile {
    /// The names of its columns, without an index that pandas adds.
    package var columnNames: [String] { places.map { footer.columns[$0].name } }
    /// The number of rows.
    package var rowCount: Int { footer.rows }
    fileprivate let footer: ParquetFooter
    fileprivate let file: MappedFile
    /// The columns in use of the schema.
    private let places: [Int]

    /// The file's footer.
    ///
    /// Throws: `.data` naming the file, for one that is not Parquet, is damaged or encrypted.
    package init(_ file: MappedFile) throws(TuttiError) {
        self.file = file
        do throws(Damage) {
            footer = try ParquetFooter(file.bytes)
        } catch {
            throw ParquetFile.error(file.path, error)
        }
        let columns = footer.columns
        places = columns.indices.filter { !columns[$0].name.hasPrefix("__index_level_") }
    }

    /// The rows of the columns at `columns` of `columnNames`.
    ///
    /// Throws: `.data` naming the column, for one of another shape than texts, numbers and lists of them.
    package func rows(of columns: [Int]) throws(TuttiError) -> ParquetRows {
        var leaves: [(name: String, leaf: ParquetLeaf)] = []
        for column in columns {
            let column = footer.columns[places[column]]
            do throws(Damage) {
                leaves.append((column.name, try column.leaf.get()))
            } catch {
                throw TuttiError(
                    .data, "read Parquet", "\(file.path): column '\(column.name)'", error.problem,
                    hint: "A data set has columns of texts, numbers or lists; name those to use with columns: [...].")
            }
        }
        return ParquetRows(self, leaves)
    }

    fileprivate static func error(_ subject: String, _ damage: Damage) -> TuttiError {
        let isUnsupported = damage.problem.hasSuffix("not supported")
        return TuttiError(
            .data, "read Parquet", subject, damage.problem,
            hint: isUnsupported
                ? "Write the file again with pyarrow's default settings: pyarrow.parquet.write_table(table, FILE)."
                : "Take the file from its source again.")
    }
}

/// The rows of some columns, in order.
package struct ParquetRows: ColumnarRows {
    private let parquet: ParquetFile
    private let columns: [(name: String, leaf: ParquetLeaf)]
    private var readers: [ParquetColumnReader] = []
    private var group = -1
    private var left = 0

    fileprivate init(_ parquet: ParquetFile, _ columns: [(name: String, leaf: ParquetLeaf)]) {
        self.parquet = parquet
        self.columns = columns
    }

    /// Puts the cells of the next row into `cells`; false at the end.
    ///
    /// Throws: `.data` naming file, column, row group and page.
    package mutating func next(_ cells: inout [JSONValue]) throws(TuttiError) -> Bool {
        cells.removeAll(keepingCapacity: true)
        while left == 0 {
            guard try enterGroup() else { return false }
        }
        left -= 1
        for place in readers.indices {
            do throws(Damage) {
                cells.append(try readers[place].next())
            } catch {
                throw self.error(error, place)
            }
        }
        return true
    }

    /// Ends the row group and goes on to the next; false at the end.
    private mutating func enterGroup() throws(TuttiError) -> Bool {
        for place in readers.indices {
            do throws(Damage) {
                try readers[place].finish()
            } catch {
                throw self.error(error, place)
            }
        }
        readers = []
        group += 1
        let groups = parquet.footer.groups
        guard group < groups.count else { return false }
        left = groups[group].rows
        for (name, leaf) in columns {
            do throws(Damage) {
                let chunk = try groups[group].chunks[leaf.index].get()
                readers.append(ParquetColumnReader(chunk, of: leaf, in: parquet.file.bytes))
            } catch {
                throw ParquetFile.error("\(parquet.file.path): column '\(name)', row group \(group + 1)", error)
            }
        }
        return true
    }

    private func error(_ damage: Damage, _ place: Int) -> TuttiError {
        let page = readers[place].pageNumber
        let subject = "\(parquet.file.path): column '\(columns[place].name)', row group \(group + 1), page \(page)"
        return ParquetFile.error(subject, damage)
    }
}
