// The progress of runs and tasks: a bar where there is a terminal, lines with the same facts where there is none.

import Testing
import TuttiGround
import TuttiReports

/// Takes what is drawn and printed, on a clock of its own.
private final class Screen {
    var text = ""
    var drawn = ""
    private var time = ContinuousClock.now

    func pass(_ seconds: Double) { time += .seconds(seconds) }

    func bar(columns: Int?) -> ProgressBar {
        ProgressBar(columns: columns, write: { [self] in drawn += $0 }, now: { [self] in time })
    }

    func display(columns: Int?) -> ProgressDisplay {
        ProgressDisplay(bar: bar(columns: columns)) { [self] in text += $0 }
    }

    /// What the terminal's line shows.
    var shownLine: Substring { drawn.split(separator: "\r").last.map { $0.prefix { $0 != "\u{1B}" } } ?? "" }
}

@Suite struct ProgressTests {
    private func step(_ step: Int, seconds: Double) -> StepProgress {
        StepProgress(step: step, totalSteps: 300, ownSteps: step, ownSeconds: seconds)
    }

    private func training(_ step: Int) -> LogLine {
        LogLine(
            .training,
            [
                "step": .integer(Int64(step)), "epoch": .number(0.04), "loss": .number(1.23456),
                "learning_rate": .number(2e-5), "seconds": .object(["forward": .number(1)]),
            ])
    }

    private func evaluation(_ step: Int, loss: Double, accuracy: Double) -> LogLine {
        LogLine(
            .evaluation,
            [
                "step": .integer(Int64(step)), "epoch": .number(0.5), "eval_loss": .number(loss),
                "eval_runtime": .number(3), "eval_dev_cosine_accuracy": .number(accuracy),
                "eval_dev_dot_accuracy": .number(0.5),
            ], mainMetrics: ["eval_loss", "eval_dev_cosine_accuracy"])
    }

    @Test func linesTellStepAndTimeLeft() {
        let screen = Screen()
        let display = screen.display(columns: nil)
        display.began(ReportedRun(name: "first", totalSteps: 300))
        display.stepped(step(12, seconds: 6))
        display.logged(training(12))
        #expect(
            screen.text == "Training first for 300 steps.\n"
                + "step 12/300  epoch 0.040  loss 1.2346  learning_rate 2e-05  2 min 24 s left\n")
        #expect(screen.drawn.isEmpty)  // no terminal, no bar
    }

    @Test func anEvaluationIsOneLineWithItsChange() {
        let screen = Screen()
        let display = screen.display(columns: nil)
        display.began(ReportedRun(totalSteps: 300, resumedFrom: 100))
        display.logged(evaluation(100, loss: 0.5, accuracy: 0.81234))
        display.logged(evaluation(200, loss: 0.45, accuracy: 0.8))
        #expect(
            screen.text == "Resuming after step 100 of 300.\n"
                + "step 100/300  epoch 0.500  eval_loss 0.5000  eval_dev_cosine_accuracy 0.8123\n"
                + "step 200/300  epoch 0.500  eval_loss 0.4500 (-0.0500)  eval_dev_cosine_accuracy 0.8000 (-0.0123)\n")
    }

    @Test func theClosingLineKeepsToTheMainMetrics() {
        let screen = Screen()
        let display = screen.display(columns: nil)
        display.began(ReportedRun(totalSteps: 300))
        display.logged(
            LogLine(
                .closing,
                [
                    "test_ir_cosine_ndcg@10": .number(0.7), "test_ir_cosine_map@100": .number(0.6),
                    "step": .integer(300), "epoch": .number(3), "train_loss": .number(0.1),
                    "train_runtime": .number(61),
                ], mainMetrics: ["test_ir_cosine_ndcg@10"]))
        #expect(
            screen.text == "Training for 300 steps.\n"
                + "step 300/300  epoch 3.000  test_ir_cosine_ndcg@10 0.7000  train_loss 0.1000  train_runtime 61.0\n")
    }

    @Test func aTerminalHasABarThatLinesPushAway() {
        let screen = Screen()
        let display = screen.display(columns: 80)
        display.began(ReportedRun(totalSteps: 300))
        display.stepped(step(150, seconds: 75))
        #expect(screen.shownLine.hasPrefix("███████████████░░░░░░░░░░░░░░░ 150/300  2.00 steps/s  1 min 15 s left"))
        let frames = screen.drawn
        screen.pass(0.05)
        display.stepped(step(151, seconds: 75.5))
        #expect(screen.drawn == frames)  // too soon to draw again
        display.notice("A line.")
        #expect(screen.drawn == frames + "\r\u{1B}[K" && screen.text.hasSuffix("A line.\n"))
    }

    @Test(arguments: [20, 40, 60, 132])
    func aBarFitsItsTerminal(_ columns: Int) {
        let screen = Screen()
        let bar = screen.bar(columns: columns)
        bar.show(step(299, seconds: 3000))
        screen.pass(1)
        bar.show(TaskProgress("Evaluating a data set with a long name", done: 5, of: 7))
        for frame in screen.drawn.split(separator: "\r") {
            #expect(frame.prefix { $0 != "\u{1B}" }.count < columns)
        }
    }

    @Test func aLongTaskSaysNowAndThenHowFarItIs() {
        let screen = Screen()
        let bar = screen.bar(columns: nil)
        for second in 0...30 {
            bar.show(TaskProgress("Evaluating dev", done: second * 10, of: 400))
            screen.pass(1)
        }
        #expect(
            screen.drawn == "Evaluating dev: 100/400, 30 s left\nEvaluating dev: 200/400, 20 s left\n"
                + "Evaluating dev: 300/400, 10 s left\n")
    }

    @Test func aShortTaskSaysNothing() {
        let screen = Screen()
        let bar = screen.bar(columns: nil)
        for evaluation in 1...3 {
            bar.show(TaskProgress("Evaluating dev", done: 0, of: 2))
            screen.pass(3)
            bar.show(TaskProgress("Evaluating dev", done: 1, of: 2))
            bar.show(TaskProgress("Evaluating dev", done: 2, of: 2))
            screen.pass(60)
            bar.show(step(evaluation, seconds: 60))
        }
        #expect(screen.drawn.isEmpty)
    }

    /// An evaluator may encode in many short rounds, and a miner begins to tell with its first chunk.
    @Test func roundsOfALongTask() {
        let screen = Screen()
        let bar = screen.bar(columns: nil)
        for _ in 0..<4 {
            for done in 0...2 {
                bar.show(TaskProgress("Evaluating ir", done: done, of: 2))
                screen.pass(2)
            }
        }
        #expect(screen.drawn == "Evaluating ir: 0/2\n")  // after twelve seconds, at the start of a round
        let miner = Screen()
        let mining = miner.bar(columns: 80)
        mining.show(TaskProgress("Encoding documents", done: 2048, of: 8192))
        #expect(miner.shownLine.hasSuffix("2048/8192"))
        miner.pass(2)
        mining.show(TaskProgress("Encoding documents", done: 4096, of: 8192))
        #expect(miner.shownLine.hasSuffix("4096/8192  4 s left"))
    }

    @Test func aTaskTakesItsBarAwayWhenItIsDone() {
        let screen = Screen()
        let bar = screen.bar(columns: 80)
        bar.show(TaskProgress("Encoding texts", done: 0, of: 2))
        #expect(screen.shownLine.hasSuffix("Encoding texts  0/2"))
        bar.show(TaskProgress("Encoding texts", done: 2, of: 2))
        #expect(screen.drawn.hasSuffix("\r\u{1B}[K"))
    }

    @Test func theLauncherTellsOfItsTerminal() {
        #expect(Terminal(told: "132") == Terminal(columns: 132))
        #expect(Terminal(told: "132 output") == Terminal(columns: 132, isOnOutput: true))
        for text in [nil, "", "0", "-3", "wide", "output"] { #expect(Terminal(told: text) == nil) }
    }
}
