// A first module that is loaded, weights apart: its family, its tokenizer, and the length that it cuts texts to.

import TuttiEncoders
import TuttiGround
import TuttiText

/// A module that reads texts.
package struct TextInput: Sendable {
    /// Its folder.
    package let directory: InputDirectory
    /// The settings of its family.
    let family: any EncoderFamily
    /// Its tokenizer.
    package let tokenizer: Tokenizer
    /// Tokens of the longest text that it has positions for.
    let longestText: Int
    /// Texts are cut to this number of tokens, special ones included.
    package var maximumLength: Int

    /// False where no text is too long.
    var hasLimit: Bool { longestText < EncoderPlan.unlimitedLength }

    /// Reads the tokenizer of `directory`; `notices` gets what a user should know.
    ///
    /// Throws: as the tokenizer; `.data` for one that does not fit the plan.
    init(
        _ directory: InputDirectory, family: any EncoderFamily, plan: EncoderPlan, notices: inout [String]
    ) throws(TuttiError) {
        self.directory = directory
        self.family = family
        tokenizer = try directory.tokenizer()
        try directory.configurationFile.check(tokenizer, fits: plan.vocabularySize)
        notices += tokenizer.notices
        let longest = plan.longestSequence
        let wanted = directory.maximumLength ?? min(tokenizer.modelMaximumLength ?? longest, longest)
        if wanted > longest {
            notices.append(
                "max_seq_length \(wanted) is more than the model has positions for: texts are cut to \(longest) tokens")
        }
        longestText = longest
        maximumLength = min(wanted, longest)
        guard !directory.input.hasConfiguration || tokenizer.templateCount <= maximumLength else {
            throw TuttiError(
                .data, "read model", directory.path,
                "the tokenizer puts \(tokenizer.templateCount) special tokens around a text, but the model takes"
                    + " \(maximumLength)")
        }
    }

    /// What turns texts into tokens on a route.
    func reader(excludesPrompt: Bool) -> TextReader {
        // Modules that read words do not know how long a prompt is: the reference pools it.
        let isTransformer = directory.input == .transformer
        return TextReader(
            tokenizer: tokenizer, maximumLength: maximumLength, excludesPrompt: excludesPrompt && isTransformer,
            addsSpecialTokens: directory.input.addsSpecialTokens, lowercases: directory.lowercases,
            cutsEnd: directory.input == .wordEmbeddings)
    }
}

extension ConfigurationFile {
    /// Refuses a tokenizer with ids beyond the word table.
    ///
    /// Throws: `.data` naming vocab_size.
    func check(_ tokenizer: Tokenizer, fits vocabularySize: Int) throws(TuttiError) {
        guard Int(tokenizer.largestID) >= vocabularySize else { return }
        let token = tokenizer.token(tokenizer.largestID).map { " ('\($0)')" } ?? ""
        throw error("vocab_size", "is \(vocabularySize), but the tokenizer has the id \(tokenizer.largestID)\(token)")
    }
}
